"""The windows that a text states, however it writes its times. Standard library only.

The text is put in plain English and cut at its times; what stands between two neighbours decides whether, and how
surely, they are the ends of one window. It is untrusted: nothing here raises, every pattern runs in linear time.
"""

import math
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

from tvg_lightning.plain_english import FILLER, TO, WORD, Label, label_of, plain_english
from tvg_lightning.schema import Span

# ---- times

_NUMBER: Final = r"(?:\d++(?:\.\d++)?+|\.\d++)(?:e[+-]?\d{1,3})?+"
_HOURS: Final = r"(?:hours?|hrs?|h)(?![a-z])"
_MINUTES: Final = r"(?:minutes?|mins?\.?|m)(?![a-z])"
_SECONDS: Final = r"(?:seconds?|secs?\.?|s)(?![a-z])"
_BELOW_SIXTY: Final = r"[0-5]?\d(?:\.\d++)?+"
_AND: Final = r"(?:,\s?|:(?=\d)|\s(?:and\s)?)?+"
_LESS: Final = rf"(?:{_AND}{_BELOW_SIXTY}[\s-]?{_SECONDS}|{_BELOW_SIXTY}(?!\w))?+"  # the 30 of 1h30, too

# 0:5, 01:02, 01:02:03.5 and, as in subtitles, 01:02:03,500
_CLOCK: Final = r"\d{1,4}:\d{1,2}(?::\d{1,2}(?:,\d{3}(?![\d:]))?+)?(?:\.\d++)?+"
_PRIMES: Final = r"""\d{1,3}'(?:\s?[0-5]?\d(?:\.\d++)?+\s?(?:"|'')|[0-5]\d(?:\.\d++)?+)"""  # 1'05"
# 12.5, 12 s, 12th second, 1 minute 5 seconds, 1h2m3s, 1500 ms
_COUNT: Final = rf"""
    {_NUMBER}(?:st|nd|rd|th)?+
    (?:[\s-]?(?:{_HOURS}(?:{_AND}{_BELOW_SIXTY}[\s-]?{_MINUTES})?+{_LESS}|{_MINUTES}{_LESS}|{_SECONDS}|ms))?+
"""
_TIME: Final = re.compile(
    # not the 3 of v3, #3, 2/3, 1.2.3 and 5*3
    r"(?<![\w.\#/])(?<!\d:)(?<!\d[\\'*+^@±])"
    r"(?P<sign>(?<![-‐‑‒–—―])[-–]|(?:minus|negative)\s)?+"
    rf"(?P<time>{_CLOCK}(?:\s?(?:{_MINUTES}|{_SECONDS}))?+|{_PRIMES}|{_COUNT})"
    rf"(?:\s?(?:±|\+/-|\+-)\s?{_NUMBER}(?:[\s-]?{_SECONDS})?+)?+"
    r"(?!\w|:\d|\.\d|[\\'*+^@±]\d|\s?+\(?+(?:%|percent|per\ cent|frames?\b|fps\b)|\s?+times\b)",
    re.IGNORECASE | re.VERBOSE,
)
_PART: Final = re.compile(rf"({_NUMBER})(?:st|nd|rd|th)?+[\s-]?(ms|[hms])?", re.IGNORECASE)
_UNIT_BEFORE: Final = re.compile(rf"{_MINUTES}|{_SECONDS}")  # second 12
_UNIT: Final = re.compile(r"[^\W\d_]|[:']")
_UNIT_S: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "": 1.0}
_IS_CLOCK: Final = re.compile(r"\d++[:']")
_ONE_DIGIT: Final = re.compile(r":\d(?!\d)")
_BULLET_MINUS: Final = re.compile(r"^[ \t]*+[-–](?=\d)", re.MULTILINE)

# 12,5 and 1:05,5; 1,234.5; 1.234,5; 1 min 5, but not 1 min 5 men
_BARE: Final = re.compile(r"-?[\d.:]++$")
_DECIMAL: Final = re.compile(r"-?\d++(?::\d++)*+,\d++(?![\d,.:])")
_GROUPED: Final = re.compile(r"-?[1-9]\d{0,2}(?:,\d{3})++(?![\d,:])")
_GROUPED_BY_DOTS: Final = re.compile(r"-?[1-9]\d{0,2}(?:\.\d{3})++,\d++(?![\d,.:])")
_OF_MINUTES: Final = re.compile(rf"(?:{_HOURS}|{_MINUTES})$", re.IGNORECASE)
_REST: Final = re.compile(rf"{_BELOW_SIXTY}(?:[\s-]?{_SECONDS})?$", re.IGNORECASE)
_SEPARATORS: Final = frozenset({", ", "; ", ";", " and ", " & "})
_COUNTED: Final = re.compile(r" (?!(?:to|til|until|and|at|in|of|the|mark|when|start\w*+|begin\w*+|end\w*+)\b)[^\W\d_]")

# ---- what stands before, between and behind them

# what follows them is no time: frame 30, step 2
_COUNTER: Final = re.compile(r"(?:chapter|frame|number|option|scene|shot|step)s?$")
_DASHES: Final = "-‐‑‒–—―−~∼〜→⟶⇒➔➜"
# closing marks, a comma, a dash or an arrow, a colon, opening marks
_MARKS: Final = re.compile(rf"[\])}}>]*+[,;&]?+(?:[-=]{{1,2}}>|[{_DASHES}]{{1,2}})?+[:=]?+[\[({{<]*+")
_QUIET: Final = re.compile(r"""(?:approx|ca)\.|[\s"'`*$\\]|[^\W\d_]""")
_BULLET: Final = re.compile(r"\n\s*+[-–•]\s")
_ASIDE: Final = re.compile(r"[(\[<{][^()\[\]<>{}\d]*+[)\]>}]")  # 12.0 (start) to
_DOTTED: Final = re.compile(rf"\.(?:\s*+[{_DASHES},]|\s++(?:to|til|until|till|through|thru|and)\b)")  # 12. to 18.
_BEHIND: Final = re.compile(r"(?:\s?[:=]\s)?+[^\d.,;:=\n]{0,40}+")

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
    ``starts at a … and ends at b``, ``a (start) to b (end)``, JSON objects and tables with start and end; times as
    12.5, 12.5s, 12th second, 0:5, 01:02, 01:02:03.5, 1'05", 1 minute 5 seconds, 1 min 5. A minute or hour after the
    second time counts for both: 1 to 2 minutes. Also in LaTeX, full-width marks and the usual words of Chinese,
    Japanese, Korean, German, French, Spanish, Italian and Portuguese.

    A comma without a blank is part of a number, 12,5 to 18,3 or 1,234.5 to 1,240.0, where a word or a dash joins that
    number to one other, or a unit follows outside brackets; else it separates: [12,18], 12,18 and 1-2,3-4. A minus
    right before a number is its sign where it can be no dash or bullet: -5 to 8 starts at -5.

    No times: percentages, numbers of frames, numbers inside words, list numbers (``1. 2.3 - 4.5``), pieces of what is
    no time as a whole (1 min 75). Numbers without a unit, with only a comma or an ``and`` between them, outside
    brackets, count where the text has nothing surer.

    >>> stated_windows("2 men, 3 dogs: from 1 minute 5 seconds until 1:20; then [90.5, 90.5]")
    [Span(start_s=65.0, end_s=80.0), Span(start_s=90.5, end_s=90.5)]
    """
    plain, has_decimal_commas = plain_english(text)
    return [window for window, _, _ in _stated(plain, _whole(plain, list(_times(plain)), has_decimal_commas))]


def _stated(text: str, times: list[_Time]) -> list[tuple[Span, _Time, _Time]]:
    """The windows that a text in plain English states, each with the two times that it is made of."""
    links = [*(_link(text, first, second) for first, second in pairwise(times)), _NOT]
    found: list[tuple[bool, Span, _Time, _Time]] = []
    at = 0
    while at < len(times) - 1:
        first, second = times[at], times[at + 1]
        # of "1, 2 to 3" the surer neighbours are the window
        if links[at] == _NOT or links[at + 1] > links[at]:
            at += 1
            continue
        is_sure = links[at] >= _DASHED or first.opened or _UNIT.search(second.text) is not None
        found.append((is_sure, _window(first.text, second.text), first, second))
        at += 2
    has_sure = any(is_sure for is_sure, *_ in found)
    kept = [(window, first, second) for is_sure, window, first, second in found if is_sure or not has_sure]
    return [one for one in kept if math.isfinite(one[0].start_s) and math.isfinite(one[0].end_s)]


def stated_places(text: str) -> list[tuple[int, int, Span]]:
    """The places of a text's times: characters ``start`` to ``end`` state a window, or an instant with its unit.

    In order and apart from each other; an instant is a span of no length. The windows are those of
    ``stated_windows``, but for those whose words are not found in the text as it stands, such as ``from 3`` in a table.

    >>> text = "At 2.5 s it rises, <t>3.0 to 4.5</t>, not 7 men."
    >>> [(text[start:end], span.start_s, span.end_s) for start, end, span in stated_places(text)]
    [('2.5 s', 2.5, 2.5), ('3.0 to 4.5', 3.0, 4.5)]
    """
    plain, has_decimal_commas = plain_english(text)
    times = _whole(plain, list(_times(plain)), has_decimal_commas)
    windows = {first: (window, second) for window, first, second in _stated(plain, times)}
    places: list[tuple[int, int, Span]] = []
    behind = 0  # what stands before it in the text is done; the plain text may have other places
    taken: _Time | None = None  # the end of the last window
    for time in times:
        start = text.find(time.text, behind)
        if start < 0:
            continue
        behind = start + len(time.text)
        if time is taken and places:
            places[-1] = (places[-1][0], behind, places[-1][2])
            taken = None
        elif time in windows:
            window, taken = windows[time]
            places.append((start, behind, window))
        elif _has_unit(time):
            instant_s = _seconds(time.text)
            places += [(start, behind, Span(instant_s, instant_s))] if math.isfinite(instant_s) else []
    return places


def names_time(text: str) -> bool:
    """True where a text states a window, or a single time or length of time with its unit or as a clock.

    >>> [names_time(text) for text in ("At 12.5 s it rises.", "from 3 to 8", "by 01:05", "The 2nd of 3 men rises.")]
    [True, True, True, False]
    """
    return any(map(_has_unit, _times(plain_english(text)[0]))) or bool(stated_windows(text))


def _has_unit(time: _Time) -> bool:
    """True for a time that is one also when it stands alone."""
    is_clock = _IS_CLOCK.match(time.text) is not None
    has_unit_behind = bool(_PART.findall(time.text)[-1][1])
    return is_clock or has_unit_behind or _UNIT_BEFORE.fullmatch("".join(time.words[:1])) is not None


def _times(text: str) -> Iterator[_Time]:
    before = 0
    opened = False
    has_bullets = len(_BULLET_MINUS.findall(text)) > 1
    for match in _TIME.finditer(text):
        lead = text[max(before, match.start() - 40) : match.start()]
        words = tuple(reversed(WORD.findall(lead.lower())))
        time, at = match["time"], match.start("time")
        if match["sign"]:
            is_bullet = has_bullets and not lead.rpartition("\n")[2].strip()
            # 12 -15 and 12 s mark -15 have a dash; 3, -15 and to -15 and 1) -15 have a sign
            is_dash = 0 < before >= match.start() - 40 and words in ((), ("mark",)) and (opened or lead[:1] != ")")
            is_dash = is_dash and not _QUIET.sub("", lead).strip("])}>")
            time, at = (time, at) if is_bullet or is_dash else (f"-{time}", match.start())
        before = match.end()
        opened = lead.rstrip("\"' *`$").endswith(("[", "(", "<"))
        if words and _COUNTER.match(words[0]) and lead[-1:].isspace() and not time[-1].isalpha():
            continue
        yield _Time(time, at, match.end(), words, opened)


def _whole(text: str, times: list[_Time], has_decimal_commas: bool) -> list[_Time]:
    """The times of a text, ``12,5``, ``1,234.5`` and ``1 min 5`` put together, ``1 min 75`` left out."""
    whole: list[_Time] = []
    runs = _runs(text, times)
    for run, then in zip(runs, [*runs[1:], []], strict=False):
        whole += run if len(run) == 1 else _as_one(text, whole[-1:], run, then, _one(run, has_decimal_commas))
    return whole


def _runs(text: str, times: list[_Time]) -> list[list[_Time]]:
    """The times in runs: with only a comma between them, or only a blank after minutes and hours."""
    runs = [times[:1]] if times else []
    for last, time in pairwise(times):
        glue = "," if _BARE.match(last.text) else " " if _OF_MINUTES.search(last.text) else None
        if text[last.to : time.at] == glue:
            runs[-1].append(time)
        else:
            runs.append([time])
    return runs


def _one(run: list[_Time], has_decimal_commas: bool) -> _Time | None:
    """The one time that a run may be; None for what can be none."""
    whole = ",".join(time.text for time in run)
    if not _BARE.match(run[0].text):
        rest = ".".join(time.text for time in run[1:])
        whole = f"{run[0].text} {rest}" if _REST.match(rest) else ""
    elif _GROUPED.match(whole) and ("." in whole or not has_decimal_commas):
        whole = whole.replace(",", "")
    elif _GROUPED_BY_DOTS.match(whole):
        whole = whole.replace(".", "").replace(",", ".")
    else:
        whole = whole.replace(",", ".") if _DECIMAL.match(whole) else ""
    return run[0]._replace(text=whole, to=run[-1].to) if whole else None


def _as_one(text: str, last: list[_Time], run: list[_Time], then: list[_Time], one: _Time | None) -> list[_Time]:
    """A run as the one time that it may be, where the times before and after it allow that."""
    hull = run[0]._replace(to=run[-1].to)
    is_joined = [_link(text, a, b) >= _DASHED for a, b in (*((a, hull) for a in last), *((hull, b) for b in then[:1]))]
    if is_joined == [True, True]:  # 1-2,3-4 and 0 - 1 min 2 - 3 min
        return run
    if not _BARE.match(run[0].text):
        return run if _COUNTED.match(text, hull.to) else [one] if one is not None else []
    if one is None:
        return [] if any(is_joined) and len(run) > 3 else run
    # 12,5, 18,3 as a list would run backwards: 12 to 5, 18 to 3
    is_second = any("," in text[a.at : a.to] and text[a.to : hull.at] in _SEPARATORS for a in last)
    is_first = any(text[hull.to : b.at] in _SEPARATORS for b in then[:1]) and any(
        len(pair) == 2 and _seconds(pair[0].text) > _seconds(pair[1].text) for pair in (run, then)
    )
    is_told = any(is_joined) or is_first or is_second or (one.text[-1].isalpha() and not one.opened)
    return [one] if is_told else run


def _link(text: str, first: _Time, second: _Time) -> int:
    """The certainty that two neighbouring times are the ends of one window, by what stands between them."""
    if second.at - first.to > _MAX_GAP:
        return _NOT
    gap = text[first.to : second.at]
    has_words = WORD.search(gap) is not None
    is_led = has_words and _label(first) == "start" and _label(second) == "end"
    if is_led or (has_words and _label_behind(text, first) == "start" and _label_behind(text, second) == "end"):
        return _LABELLED
    # 1:5 - 80 may be the window 5 to 80 of part 1
    if (":" not in first.text or ":" not in second.text) and _ONE_DIGIT.search(f"{first.text} {second.text}"):
        return _NOT
    if _DOTTED.match(gap) and (first.text[-1].isalpha() or text.startswith(".", second.to)):
        gap = gap[1:]  # "12. to 18." and "12 s. to 18 s", but 1 is a list number in "1. to 18 s"
    without_aside = _ASIDE.sub(" ", gap, count=1)
    link = _link_of(without_aside)
    link = link if link >= _DASHED or without_aside == gap else _link_of(gap)
    return _WORDED if link == _LISTED and first.words[:1] == ("between",) else link


def _link_of(gap: str) -> int:
    marks = _QUIET.sub("", gap)
    if len(gap) > _MAX_LINK or not _MARKS.fullmatch(marks) or _BULLET.search(gap):
        return _NOT
    words = [word for word in WORD.findall(gap.lower()) if not FILLER.match(word)]
    if len(words) > 1 and words[0] != "from" and label_of(words[:1]) == "start" and words[1] in TO:
        del words[0]  # 12 start to 18
    joints = set(words)
    ends = {word for word in joints if word in TO or label_of([word]) == "end"}
    if joints - ends - {"and"}:
        return _NOT
    if ends:
        return _WORDED
    if any(mark in _DASHES for mark in marks) or "=>" in marks:
        return _DASHED
    if ";" in marks or (marks[:1] in tuple("])}>") and marks[-1:] in tuple("[({<")):
        return _APART
    return _LISTED if joints or "," in marks or "&" in marks else _NOT


def _label(time: _Time) -> Label | None:
    """The label where the nearest word before a time that says anything says so."""
    return label_of(word for word in time.words if word not in TO)


def _label_behind(text: str, time: _Time) -> Label | None:
    """The same for the words behind a time; None where a colon, or an end's number, says that they lead to the next."""
    behind = _BEHIND.match(text, time.to)
    assert behind is not None
    label = label_of(word for word in WORD.findall(behind[0].lower()) if word != "as")
    then = text[behind.end() : behind.end() + 1]
    return None if then in (":", "=") or (label == "end" and then.isdigit()) else label


def _window(first: str, second: str) -> Span:
    start_s, end_s = _seconds(first), _seconds(second)
    # "1 to 2 minutes": both are minutes; "30 to 1 minute": one is
    unit_s = _UNIT_S[_PART.findall(second)[-1][1].casefold()]
    scaled_s = unit_s * start_s
    if not _UNIT.search(first) and scaled_s <= end_s and (unit_s > 1.0 or start_s > end_s):
        start_s = scaled_s
    return Span(start_s, end_s)


def _seconds(time: str) -> float:
    """Seconds of ``12.5``, ``12th second``, ``1 minute 5 s``, ``1 min 5``, ``01:02``, ``1'02"`` or ``01:02:03.5``."""
    if time.startswith("-"):
        return -_seconds(time[1:])
    total_s = 0.0
    if _IS_CLOCK.match(time):
        for part in re.findall(_NUMBER, time.replace(",", ".")):
            total_s = 60.0 * total_s + float(part)
        return total_s
    last = ""
    for number, unit in _PART.findall(time):
        total_s += float(number) * (60.0 if last == "h" and not unit else _UNIT_S[unit.casefold()])  # 1 h 5
        last = unit.casefold()
    return total_s
