"""The parser of Time-R1 (arXiv 2503.13377), TimeZero (2503.13377) and VideoChat-R1 (2504.06958); written anew."""

import re
from typing import Final

from tvg_lightning.schema import Span

_PAIR: Final = re.compile(r"(?<!\d)(\d++\.?+\d*+) (?:to|and) (\d++\.?+\d*+)")


def read_time_r1(text: str) -> list[Span]:
    """The last ``a to b`` or ``a and b`` anywhere in a text, a thought included; as written, also reversed.

    Its faults: a unit, a dash, a clock or a capital letter hides a time, signs are lost, and without an answer the
    last numbers of the thought count.

    >>> read_time_r1("<think>1 to 2</think>between 3.5 and 9")
    [Span(start_s=3.5, end_s=9.0)]
    >>> read_time_r1("3.5s to 9s") + read_time_r1("3.5 - 9")
    []
    """
    return [Span(float(start), float(end)) for start, end in _PAIR.findall(text)[-1:]]
