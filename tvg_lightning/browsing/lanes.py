"""Time lines drawn in characters, and text that is safe and fits on a terminal.

A model's text is data: control characters in it are shown as signs, so that none can move the cursor or clear the
screen, and none can turn the reading direction. Standard library and our own spans only.
"""

import math
import unicodedata
from collections.abc import Iterator, Sequence

from tvg_lightning.schema import Span
from tvg_lightning.spans import is_usable

OUTSIDE, INSIDE, ANSWER, BETWEEN = "·", "░", "█", "─"  # of the truth; of an answer; of an anchor, between its ends
_JOINERS = "\u200c\u200d"
_STEPS_S = tuple(digit * 10.0**power for power in range(-1, 6) for digit in (1, 2, 5))
_LABEL_CHARS = 8  # room for each time of the axis


def columns_of(span: Span, duration_s: float, width: int) -> range:
    """The columns of a span, at least one; what leaves the video is cut.

    Column c is the time from ``c * duration_s / width`` to the next column's.

    >>> columns_of(Span(2.0, 4.0), 10.0, 20), columns_of(Span(9.99, 30.0), 10.0, 20)
    (range(4, 8), range(19, 20))
    """
    first = min(max(math.floor(span.start_s / duration_s * width + 1e-9), 0), width - 1)
    last = min(max(math.ceil(span.end_s / duration_s * width - 1e-9), first + 1), width)
    return range(first, last)


def truth_lane(windows: Sequence[Span], duration_s: float, width: int) -> list[str]:
    """The background of a lane: ``░`` inside the truth, ``·`` outside.

    >>> "".join(truth_lane([Span(2.0, 4.0)], 10.0, 10))
    '··░░······'
    """
    signs = [OUTSIDE] * width
    for window in filter(is_usable, windows):
        for column in columns_of(window, duration_s, width):
            signs[column] = INSIDE
    return signs


def answer_lane(answer: Sequence[Span], windows: Sequence[Span], duration_s: float, width: int) -> str:
    """An answer over the truth.

    >>> answer_lane([Span(3.0, 6.0)], [Span(2.0, 4.0)], 10.0, 10)
    '··░███····'
    """
    signs = truth_lane(windows, duration_s, width)
    for span in filter(is_usable, answer):
        for column in columns_of(span, duration_s, width):
            signs[column] = ANSWER
    return "".join(signs)


def anchor_lane(anchors: Sequence[Span], windows: Sequence[Span], duration_s: float, width: int) -> str:
    """All anchors over the truth, each with its number at both ends; a later one covers an earlier one.

    >>> anchor_lane([Span(0.0, 6.0), Span(3.0, 5.0)], [Span(2.0, 4.0)], 10.0, 10)
    '1──221····'
    """
    signs = truth_lane(windows, duration_s, width)
    for number, span in enumerate(anchors, start=1):
        if is_usable(span):
            columns = columns_of(span, duration_s, width)
            name = str(number) if number < 10 else "+"
            for column in columns:
                signs[column] = name if column in (columns[0], columns[-1]) else BETWEEN
    return "".join(signs)


def axis(duration_s: float, width: int) -> str:
    """The seconds over a lane, at round times; each number begins at its column, and the end stands at the right.

    >>> axis(20.0, 40)
    '0         5         10        15  20.0 s'
    """
    end = f"{duration_s:.1f} s"
    wanted_s = duration_s * _LABEL_CHARS / width
    step_s = next((step_s for step_s in _STEPS_S if step_s >= wanted_s), duration_s)
    line = ""
    for number in range(int(duration_s / step_s) + 1):
        column = round(number * step_s / duration_s * width)
        label = f"{number * step_s:g}"
        if column + len(label) + 2 <= width - len(end):
            line = line.ljust(column) + label
    return line.ljust(width - len(end)) + end


def safe(text: str) -> str:
    """The text with a sign in place of every character that could do something to a terminal; one for one.

    >>> safe("a\\x1b[2J\\tb\\u202ec\\n") == "a\\u241b[2J b\\ufffdc\\n"
    True
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_safe_sign, text))


def _safe_sign(sign: str) -> str:
    if sign == "\n" or sign in _JOINERS or sign.isprintable():
        return sign
    if sign == "\t" or unicodedata.category(sign) in ("Zs", "Zl", "Zp"):
        return " "
    return chr(0x2400 + ord(sign)) if ord(sign) < 0x20 else "\N{REPLACEMENT CHARACTER}"


def width_of(text: str) -> int:
    """The columns that a text takes on a terminal.

    >>> width_of("ab"), width_of("圆圈"), width_of("e\\u0301")
    (2, 4, 1)
    """
    return len(text) if text.isascii() else sum(map(_sign_width, text))


def _sign_width(sign: str) -> int:
    if unicodedata.combining(sign) or unicodedata.category(sign) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def clipped(text: str, width: int) -> str:
    """A text on one line of at most ``width`` columns.

    >>> clipped("a  long\\ntext", 8)
    'a long …'
    """
    text = " ".join(safe(text).split())
    if width_of(text) <= width:
        return text
    while width_of(text) >= width:
        text = text[:-1]
    return f"{text}…"


def wrapped(text: str, width: int) -> Iterator[str]:
    """A safe text in lines of at most ``width`` columns; line ends stay, a word that is too long is broken.

    >>> list(wrapped("one two\\nthree fourfivesix", 6))
    ['one', 'two', 'three', 'fourfi', 'vesix']
    """
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            if line and width_of(line) + 1 + width_of(word) <= width:
                line += f" {word}"
                continue
            if line:
                yield line
            line = word
            while width_of(line) > width:
                room = _fitting(line, width)
                yield line[:room]
                line = line[room:]
        yield line


def _fitting(word: str, width: int) -> int:
    """The number of its first characters that fit, at least one."""
    taken = 0
    for number, sign in enumerate(word):
        taken += _sign_width(sign)
        if taken > width:
            return max(number, 1)
    return len(word)
