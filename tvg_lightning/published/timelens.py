"""TimeLens's parser of answers (arXiv 2512.14698), which TimeLens2, OraRL and lmms-eval's TimeLens task use, too.

Written anew, to read what theirs reads, its faults included: a unit glued to a number cuts the decimals (``61.5s to
111.7s`` is 61 to 111) or the whole number (``145.2s - 164s`` is nothing), thousands are cut at their comma, signs are
lost, and the numbers of a thought come first. ``parsing`` is the project's own parser. Standard library only.
"""

import re
from typing import Final

from tvg_lightning.schema import Span

_NUMBER: Final = r"(?<!\d)\d++(?:\.\d++)?+"
_CLOCK: Final = re.compile(r"\b(?:\d{1,2}:)?\d{1,2}:\d{2}(?:\.\d++)?+\b")
_DASH: Final = re.compile(rf"({_NUMBER})\s*+[-–]\s*+({_NUMBER})")
_TO: Final = re.compile(rf"({_NUMBER})\s*+to\s*+({_NUMBER})", flags=re.IGNORECASE)
_WORD: Final = re.compile(r"\b(?:\d++\.\d++\b|\d++\b)")  # a number that stands as a word


def read_timelens(text: str) -> list[Span]:
    """The windows of a text, in order and as written: of the first of four ways in which it states any.

    Two by two the times of a clock (``m:ss``, ``h:mm:ss``, with decimals); else every ``a - b``; else every
    ``a to b``; else two by two all numbers. Its evaluation takes the first window.

    >>> read_timelens("The event happens in 27.2 - 33 seconds, 93.08 - 104.5 seconds.")
    [Span(start_s=27.2, end_s=33.0), Span(start_s=93.08, end_s=104.5)]
    >>> read_timelens("61.5s to 111.7s"), read_timelens("145.2s - 164s"), read_timelens("1,200 - 1,300")
    ([Span(start_s=61.0, end_s=111.0)], [], [Span(start_s=200.0, end_s=1.0)])
    """
    clocks = [seconds_of_clock(time) for time in _CLOCK.findall(text)]
    if len(clocks) > 1:
        return two_by_two(clocks)
    for pattern in (_DASH, _TO):
        if pairs := pattern.findall(text):
            return [Span(float(start), float(end)) for start, end in pairs]
    return two_by_two([float(number) for number in _WORD.findall(text)])


def read_timelens_training(text: str) -> list[Span]:
    """The windows that TimeLens's reward reads: "to" is a dash, and of a text with a thought only the answer counts.

    >>> read_timelens_training("<think>1 to 2</think><answer>3 to 4</answer>")
    [Span(start_s=3.0, end_s=4.0)]
    """
    inside = last_answer(text) if "<think>" in text else None
    return read_timelens((text if inside is None else inside).replace("to", "-"))


def read_ora_rl(text: str) -> list[Span]:
    """The windows that OraRL's evaluation reads (arXiv 2608.20492): TimeLens's, of the last answer block if any.

    >>> read_ora_rl("<answer>1 to 3</answer> <answer>5 to 9</answer>")
    [Span(start_s=5.0, end_s=9.0)]
    """
    inside = last_answer(text)
    return read_timelens(text if inside is None else inside)


def last_answer(text: str) -> str | None:
    """The content of the last ``<answer>…</answer>``; None where there is none."""
    closed = text.rfind("</answer>")
    opened = text.rfind("<answer>", 0, closed) if closed >= 0 else -1
    return text[opened + len("<answer>") : closed] if opened >= 0 else None


def seconds_of_clock(time: str) -> float:
    """Seconds of ``m:ss``, ``h:mm:ss`` and the same with decimals.

    >>> seconds_of_clock("01:06"), seconds_of_clock("1:00:02.5")
    (66.0, 3602.5)
    """
    total_s = 0.0
    for part in time.split(":"):
        total_s = 60.0 * total_s + float(part)
    return total_s


def two_by_two(times_s: list[float]) -> list[Span]:
    """Each two neighbours as a window; one left over at the end is dropped."""
    return [Span(*pair) for pair in zip(times_s[::2], times_s[1::2], strict=False)]
