"""OMTG's benchmark (arXiv 2606.06294): its parser, and the sets that its release matches; written anew.

The parser of its reward is ``strict_formats.read_omtg``, its metrics are ``metrics.sets``.
"""

import re
from collections.abc import Sequence
from typing import Final

from tvg_lightning.published.timelens import seconds_of_clock
from tvg_lightning.schema import Span

_TIME: Final = r"(?<![\d.:])((?:\d{1,4}:){0,2}\d++(?:\.\d++)?+)"
_DASHED: Final = rf"{_TIME}\s*+-\s*+{_TIME}"
_TAGGED: Final = re.compile(rf"<time>\s*+{_DASHED}(?:\s*+(?:seconds?|s))?+\s*+</time>", flags=re.IGNORECASE)
_WITH_UNIT: Final = re.compile(rf"{_DASHED}\s*+seconds?\b", flags=re.IGNORECASE)
_LOOSE: Final = (
    re.compile(rf"{_TIME}\s*+to\s*+{_TIME}", flags=re.IGNORECASE),
    re.compile(rf"\bstarts?\b\D{{0,40}}{_TIME}\D{{0,60}}\bends?\b\D{{0,40}}{_TIME}", flags=re.IGNORECASE),
    re.compile(rf"\[\s*+{_TIME}\s*+,\s*+{_TIME}\s*+\]"),
)


def read_omtg_benchmark(text: str) -> list[Span]:
    """The windows in ``<time>a - b seconds</time>``; else every ``a - b seconds``; else looser ways, none twice.

    Windows with end <= start are dropped. Its fault: the times of a thought are windows of the answer, too. An en dash
    is not understood. The looser ways are our reading: ``a to b``, "starts at a and ends at b", ``[a, b]``.

    >>> read_omtg_benchmark("<think><time>1 - 2 seconds</time></think><time>3 - 4.5 seconds</time>")
    [Span(start_s=1.0, end_s=2.0), Span(start_s=3.0, end_s=4.5)]
    """
    for pattern in (_TAGGED, _WITH_UNIT):
        if windows := _windows(pattern, text):
            return windows
    return list(dict.fromkeys(window for pattern in _LOOSE for window in _windows(pattern, text)))


def merged_in_place(windows: Sequence[Span]) -> list[Span]:
    """The windows that the release matches: sorted, the earliest grown over those that overlap or touch it.

    Its merging, done for the tIoU, changes the earliest window in the list itself, and only that one.

    >>> merged_in_place([Span(3.0, 5.0), Span(1.0, 3.0), Span(8.0, 9.0), Span(8.5, 12.0)])[:2]
    [Span(start_s=1.0, end_s=5.0), Span(start_s=3.0, end_s=5.0)]
    """
    if not windows:
        return []
    earliest, *others = sorted(windows)
    end_s = earliest.end_s
    for window in others:
        if window.start_s > end_s:
            break
        end_s = max(end_s, window.end_s)
    return [Span(earliest.start_s, end_s), *others]


def _windows(pattern: re.Pattern[str], text: str) -> list[Span]:
    found = (Span(seconds_of_clock(start), seconds_of_clock(end)) for start, end in pattern.findall(text))
    return [window for window in found if window.start_s < window.end_s]
