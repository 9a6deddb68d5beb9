"""The parser of MUSEG's evaluation (arXiv 2505.20715); written anew. Its reward has ``strict_formats.read_museg``."""

import re
from typing import Final

from tvg_lightning.published.timelens import last_answer, two_by_two
from tvg_lightning.schema import Span

_NUMBER: Final = re.compile(r"(?<!\d)\d++(?:\.\d++)?+")


def read_museg(text: str) -> list[Span]:
    """The numbers of the answer two by two; nothing where one is left over, or one window of them is reversed or empty.

    >>> read_museg("<think>1</think><answer>2.00-3.50 7.00-9.00</answer>")
    [Span(start_s=2.0, end_s=3.5), Span(start_s=7.0, end_s=9.0)]
    >>> read_museg("<answer>2-3 7</answer>") + read_museg("<answer>2-3 9-7</answer>") + read_museg("2-3")
    []
    """
    numbers = [float(number) for number in _NUMBER.findall(last_answer(text) or "")]
    windows = two_by_two(numbers)
    return windows if len(numbers) % 2 == 0 and all(start < end for start, end in windows) else []
