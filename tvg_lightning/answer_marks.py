"""The places in a completion's text where its anchors and its answer stand, to colour or link them.

The spans themselves were read by ``parsing``; here they are only found again. Standard library only.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

from tvg_lightning.schema import Answer, Span

_NUMBER = re.compile(r"\d++(?:\.\d++)?+")
_MAX_GAP = 12  # characters between the two numbers of a span: " to ", ", ", " seconds - "


class Mark(NamedTuple):
    """Characters ``start`` to ``end`` of a text are the span of an anchor (0, 1, …), or with None of the answer."""

    start: int
    end: int
    anchor: int | None


def answer_marks(text: str, answer: Answer) -> list[Mark]:
    """Every pair of numbers in the thought that is an anchor, and behind it every one that is a window of the answer.

    An anchor that is stated twice keeps its first number; of equal anchors each has its own place.

    >>> text = "<think>first <timestamp>1.0 to 4.0</timestamp></think><answer>2.0 to 4.0</answer>"
    >>> found = answer_marks(text, Answer(True, (Span(2.0, 4.0),), (Span(1.0, 4.0),)))
    >>> [(text[start:end], anchor) for start, end, anchor in found]
    [('1.0 to 4.0', 0), ('2.0 to 4.0', None)]
    """
    thought_end = text.rfind("</think>")
    if thought_end < 0:
        thought_end = len(text) if "<think>" in text else 0
    marks: list[Mark] = []
    coming = 0  # the anchor that is to come next
    for first, second in pairwise(_NUMBER.finditer(text)):
        if second.start() - first.end() > _MAX_GAP or (marks and first.start() < marks[-1].end):
            continue
        span = Span(float(first[0]), float(second[0]))
        if first.start() >= thought_end:
            if span in (answer.spans or ()):
                marks.append(Mark(first.start(), second.end(), None))
        elif span in answer.anchors:
            anchor = answer.anchors.index(span, coming) if span in answer.anchors[coming:] else None
            coming = coming if anchor is None else anchor + 1
            anchor = answer.anchors.index(span) if anchor is None else anchor
            marks.append(Mark(first.start(), second.end(), anchor))
    return marks


def marked_lines(text: str, lines: Iterable[str], marks: Sequence[Mark]) -> list[list[tuple[str, Mark | None]]]:
    """Each line of a wrapped text in runs: the characters, and the mark that they are of.

    ``lines`` hold the text's characters in their order; only blanks may be added, changed or left out. A blank in a
    line is of a mark where the characters on both sides are.

    >>> marks = [Mark(3, 6, 0)]
    >>> marked_lines("at 1 2, then", ["at 1", "2, then"], marks) == [
    ...     [("at ", None), ("1", marks[0])], [("2", marks[0]), (", then", None)]]
    True
    """
    mark_of = {place: mark for mark in marks for place in range(mark.start, mark.end)}
    place = 0
    marked = []
    for line in lines:
        of_line: list[Mark | None] = []
        for sign in line:
            if sign.isspace():
                of_line.append(None)
                continue
            while place < len(text) - 1 and text[place].isspace():
                place += 1
            of_line.append(mark_of.get(place))
            place += 1
        for at in range(1, len(line) - 1):
            if line[at].isspace() and of_line[at - 1] is not None and of_line[at - 1] == of_line[at + 1]:
                of_line[at] = of_line[at - 1]
        marked.append(list(_runs(line, of_line)))
    return marked


def _runs(line: str, of_line: Sequence[Mark | None]) -> Iterator[tuple[str, Mark | None]]:
    for mark, run in groupby(zip(line, of_line, strict=True), key=lambda one: one[1]):
        yield "".join(sign for sign, _ in run), mark
