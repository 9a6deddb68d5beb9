"""The parser of lmms-eval's Charades-STA task; written anew from what it does, in part our reading of it."""

import re
from typing import Final

from tvg_lightning.published.timelens import seconds_of_clock, two_by_two
from tvg_lightning.schema import Span

_NUMBER: Final = r"(?<!\d)\d++(?:\.\d++)?+"
_CLOCK: Final = re.compile(r"\b(?:\d{1,2}:)?\d{1,2}:\d{2}\b(?!\.\d)")
_DASH: Final = re.compile(rf"({_NUMBER})\s*+[-–]\s*+({_NUMBER})")
_WITH_UNIT: Final = re.compile(rf"({_NUMBER})s\s*+-\s*+({_NUMBER})s")
_WORD: Final = re.compile(r"\b(?:\d++\.\d++\b|\d++\b)")
_SENTENCE_END: Final = re.compile(r"[!?\n]")
_KEYWORDS: Final = ("start", "end", "happen")


def read_lmms_charades(text: str) -> list[Span]:
    """At most one window, the smaller time first, "to" being a dash: of the first of four ways that states any.

    Two clocks; ``a - b``; the first numbers of two sentences (lines, for a full stop ends none), those with a word for
    start or end if there are such; ``as - bs``. Its faults: ``between a and b``, a list ``[a, b]`` and two times in one
    sentence are nothing, and a thought's lines give the times of an answer.

    >>> read_lmms_charades("From 9.5 to 3"), read_lmms_charades("between 3 and 9.5 seconds")
    ([Span(start_s=3.0, end_s=9.5)], [])
    """
    lower = text.lower().replace("to", "-")
    windows = two_by_two([seconds_of_clock(time) for time in _CLOCK.findall(lower)])
    windows = windows or _pairs(_DASH, lower) or two_by_two(_first_numbers(lower)) or _pairs(_WITH_UNIT, lower)
    return [Span(min(window), max(window)) for window in windows[:1]]


def _pairs(pattern: re.Pattern[str], text: str) -> list[Span]:
    return [Span(float(start), float(end)) for start, end in pattern.findall(text)]


def _first_numbers(text: str) -> list[float]:
    """The first number of every sentence that has one."""
    sentences = _SENTENCE_END.split(text)
    told = [sentence for sentence in sentences if any(word in sentence for word in _KEYWORDS)] or sentences
    return [float(found[0]) for found in map(_WORD.search, told) if found is not None]
