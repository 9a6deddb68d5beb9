"""The parser of TaRO's evaluation (arXiv 2606.09248); written anew. Its reward has ``strict_formats.read_taro``."""

import re
from typing import Final

from tvg_lightning.schema import Span

_NUMBER: Final = re.compile(r"(?<!\d)\d++(?:\.\d++)?+")


def read_taro(text: str) -> list[Span]:
    """The last two numbers of a text, the smaller one first: also those of a thought, of a clock, of a count.

    >>> read_taro("<answer>15.5s to 12.0s</answer>"), read_taro("3 to 9 of 30")
    ([Span(start_s=12.0, end_s=15.5)], [Span(start_s=9.0, end_s=30.0)])
    """
    numbers = sorted(float(number) for number in _NUMBER.findall(text)[-2:])
    return [Span(*numbers)] if len(numbers) == 2 else []
