"""The windows that a text states, however it writes its times. Standard library only.

The text is cut at its times; what stands between two neighbours decides whether, and how surely, they are the two
ends of one window. Model text is untrusted: nothing here raises, and every pattern runs in time linear in the text.
"""

import math
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

from tvg_lightning.schema import Span

_NUMBER: Final = r"(?:\d++(?:\.\d++)?+|\.\d++)(?:e[+-]?\d{1,3})?+"
_HOURS: Final = r"(?:hours?|hrs?|h)(?![a-z])"
_MINUTES: Final = r"(?:minutes?|mins?\.?|m)(?![a-z])"
_SECONDS: Final = r"(?:seconds?|secs?\.?|s)(?![a-z])"
_BELOW_SIXTY: Final = r"[0-5]?\d(?:\.\d++)?+"
_AND: Final = r"(?:,\s?|\s(?:and\s)?)?+"
_LESS: Final = rf"(?:{_AND}{_BELOW_SIXTY}[\s-]?{_SECONDS})?+"

# 01:02, 01:02:03.5 and, as in subtitles, 01:02:03,500
_CLOCK: Final = rf"\d{{1,4}}:\d\d(?::\d\d(?:,\d{{3}}(?![\d:]))?+)?+(?:\.\d++)?+(?:\s?(?:{_MINUTES}|{_SECONDS}))?+"
# 12.5, 12 s, 12th second, 1 minute 5 seconds, 1h2m3s, 1500 ms; a minus is a sign where it cannot be a dash
_COUNT: Final = rf"""
    (?:(?<=[\[(<:=])-|(?<=:\s)-)?+{_NUMBER}(?:st|nd|rd|th)?+
    (?:[\s-]?(?:{_HOURS}(?:{_AND}{_BELOW_SIXTY}[\s-]?{_MINUTES})?+{_LESS}|{_MINUTES}{_LESS}|{_SECONDS}|ms))?+
"""
_TIME: Final = re.compile(
    # not the 3 of v3, #3, 2/3 and 1.2.3
    rf"(?<![\w.\#/])(?<!\d:)(?:{_CLOCK}|{_COUNT})"
    r"(?!\w|:\d|\.\d|\s?+(?:%|percent|per\ cent|frames?\b|fps\b|times\b))",
    re.IGNORECASE | re.VERBOSE,
)
_PART: Final = re.compile(rf"(-?{_NUMBER})(?:st|nd|rd|th)?+[\s-]?(ms|[hms])?", re.IGNORECASE)
_UNIT: Final = re.compile(r"[^\W\d_]|:")
_UNIT_S: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "": 1.0}

_WORD: Final = re.compile(r"[^\W\d_]+")
_START: Final = re.compile(r"start|begin|onset$|from$")
_END: Final = re.compile(r"end(?:s|ed|ing|time)?$|finish|stop|conclud|offset$|until$|till$|through$|thru$")
_TO: Final = frozenset({"to", "til"})
# say nothing about whether a time starts or ends a window
_FILLER: Final = re.compile(
    r"(?:a|about|approx|approximately|around|at|ca|exactly|is|it|mark|moment|nearly|point|roughly|t|the|time|timestamp|up"
    r"|min|minutes?|s|secs?|seconds?)$"
)
# what follows them is no time: frame 30, step 2
_COUNTER: Final = re.compile(r"(?:chapter|frame|number|option|scene|shot|step)s?$")
_DASHES: Final = "-‐‑‒–—―−~〜→⟶⇒"
# closing marks, a comma, a dash or an arrow, a colon, opening marks
_MARKS: Final = re.compile(rf"[\])}}>]*+[,;&]?+(?:-{{1,2}}>|[{_DASHES}])?+[:=]?+[\[({{<]*+")
_QUIET: Final = re.compile(r"""[\s"'`*$\\]|[^\W\d_]""")
_BULLET: Final = re.compile(r"\n\s*+[-–•]\s")

_LABELLED, _WORDED, _DASHED, _LISTED, _APART, _NOT = 5, 4, 3, 2, 1, 0
_MAX_GAP: Final = 200  # characters between two labelled ends
_MAX_LINK: Final = 60  # and between two others


class _Time(NamedTuple):
    text: str
    at: int
    to: int
    words: tuple[str, ...]  # the last words before it, the nearest first
    opened: bool  # right after an opening bracket


def stated_windows(text: str) -> list[Span]:
    """Every window that a text states, in order and as it states it: also reversed ones and single instants.

    ``a to b``, ``a - b``, ``between a and b``, ``a, b``, ``[a, b]`` and lists of them, ``Start: a, End: b``,
    ``starts at a … and ends at b``, JSON objects with start and end; times as 12.5, 12.5s, 12th second, 01:02,
    01:02:03.5, 1 minute 5 seconds. A minute or hour after the second time counts for both: 1 to 2 minutes.

    No times: percentages, numbers of frames, numbers inside words, list numbers (``1. 2.3 - 4.5``). Numbers without a
    unit, with only a comma or an ``and`` between them, outside brackets, count where the text has nothing surer.

    >>> stated_windows("2 men, 3 dogs: from 1 minute 5 seconds until 1:20; then [90.5, 90.5]")
    [Span(start_s=65.0, end_s=80.0), Span(start_s=90.5, end_s=90.5)]
    """
    times = list(_times(text))
    links = [*(_link(text, first, second) for first, second in pairwise(times)), _NOT]
    sure: list[bool] = []
    windows: list[Span] = []
    at = 0
    while at < len(times) - 1:
        # of "1, 2 to 3" the surer neighbours are the window
        if links[at] == _NOT or links[at + 1] > links[at]:
            at += 1
            continue
        first, second = times[at], times[at + 1]
        told = first.opened or first.words[:1] == ("between",) or _UNIT.search(second.text) is not None
        sure.append(told or links[at] >= _DASHED)
        windows.append(_window(first.text, second.text))
        at += 2
    none_is_sure = not any(sure)
    kept = [window for window, is_sure in zip(windows, sure, strict=True) if is_sure or none_is_sure]
    return [window for window in kept if math.isfinite(window.start_s) and math.isfinite(window.end_s)]


def _times(text: str) -> Iterator[_Time]:
    before = 0
    for match in _TIME.finditer(text):
        lead = text[max(before, match.start() - 40) : match.start()]
        before = match.end()
        words = tuple(reversed(_WORD.findall(lead.lower())))
        if words and _COUNTER.match(words[0]) and lead[-1:].isspace():
            continue
        yield _Time(match[0], match.start(), match.end(), words, lead.rstrip("\"' *`$").endswith(("[", "(", "<")))


def _link(text: str, first: _Time, second: _Time) -> int:
    """How surely two neighbouring times are the ends of one window, by what stands between them."""
    if second.at - first.to > _MAX_GAP:
        return _NOT
    if _label(first) is _START and _label(second) is _END:
        return _LABELLED
    gap = text[first.to : second.at]
    marks = _QUIET.sub("", gap)
    if len(gap) > _MAX_LINK or not _MARKS.fullmatch(marks) or _BULLET.search(gap):
        return _NOT
    joints = {word for word in _WORD.findall(gap.lower()) if not _FILLER.match(word)}
    ends = {word for word in joints if word in _TO or _END.match(word)}
    if joints - ends - {"and"}:
        return _NOT
    if ends:
        return _WORDED
    if any(mark in _DASHES for mark in marks):
        return _DASHED
    if ";" in marks or (marks[:1] in tuple("])}>") and marks[-1:] in tuple("[({<")):
        return _APART
    return _LISTED if joints or "," in marks or "&" in marks else _NOT


def _label(time: _Time) -> re.Pattern[str] | None:
    """``_START`` or ``_END`` where the nearest word before a time that says anything says so."""
    word = next((word for word in time.words if not _FILLER.match(word)), "")
    return next((label for label in (_START, _END) if label.match(word)), None)


def _window(first: str, second: str) -> Span:
    start_s, end_s = _seconds(first), _seconds(second)
    # "1 to 2 minutes": both are minutes; "30 to 1 minute": one is
    unit_s = _UNIT_S[_PART.findall(second)[-1][1].casefold()]
    scaled_s = unit_s * start_s
    if not _UNIT.search(first) and start_s < scaled_s <= end_s:
        start_s = scaled_s
    return Span(start_s, end_s)


def _seconds(time: str) -> float:
    """Seconds of ``12.5``, ``12th second``, ``1 minute 5 s``, ``01:02`` or ``01:02:03.5``."""
    if ":" not in time:
        return sum(float(number) * _UNIT_S[unit.casefold()] for number, unit in _PART.findall(time))
    total_s = 0.0
    for part in re.findall(_NUMBER, time.replace(",", ".")):
        total_s = 60.0 * total_s + float(part)
    return total_s
