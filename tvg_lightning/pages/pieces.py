"""A completion for a page: its text in pieces, each time with the window that it states, and its lanes."""

import re
from collections.abc import Sequence
from typing import Any

from tvg_lightning.answer_marks import answer_marks
from tvg_lightning.schema import Answer, Span
from tvg_lightning.spans import is_usable
from tvg_lightning.timestrings import stated_places

Json = dict[str, Any]

_TAG = re.compile(r"</?[A-Za-z_]{1,20}>")


def pieces_of(text: str, answer: Answer) -> list[Json]:
    """The text from beginning to end in pieces: ``{"text": …}``, with ``tag``, or with ``window`` where it is a time.

    A time that is an anchor also has its number from 0 (``anchor``), one that is the answer has ``answer``. The places
    are those of ``timestrings.stated_places``, so that a page links what the one parser reads.

    >>> pieces_of("<think>At 2.5 s.", Answer(False, None))
    [{'text': '<think>', 'tag': True}, {'text': 'At '}, {'text': '2.5 s', 'window': [2.5, 2.5]}, {'text': '.'}]
    """
    marks = answer_marks(text, answer)
    pieces: list[Json] = []
    behind = 0
    for start, end, window in stated_places(text):
        pieces += _plain(text[behind:start])
        mark = next((mark for mark in marks if mark.start < end and start < mark.end), None)
        role = {} if mark is None else {"answer": True} if mark.anchor is None else {"anchor": mark.anchor}
        pieces.append({"text": text[start:end], "window": [window.start_s, window.end_s], **role})
        behind = end
    return pieces + _plain(text[behind:])


def _plain(text: str) -> list[Json]:
    """Text without times, its tags apart from its words."""
    pieces: list[Json] = []
    behind = 0
    for tag in _TAG.finditer(text):
        pieces += [{"text": text[behind : tag.start()]}] if tag.start() > behind else []
        pieces.append({"text": tag[0], "tag": True})
        behind = tag.end()
    return pieces + ([{"text": text[behind:]}] if behind < len(text) else [])


def lanes_of(
    windows: Sequence[Span] | None, answer: Answer, anchor_ious: Sequence[float], answer_iou: float | None
) -> list[Json]:
    """Truth, every anchor and the answer, top to bottom: ``name``, ``kind``, ``bars`` in seconds, ``iou``, ``note``.

    ``windows`` None: the truth is unknown, and no lane says it. IoUs are those that were measured with the answer.
    """
    lanes: list[Json] = []
    if windows is not None:
        lanes.append(_lane("truth", "truth", windows, None, "" if windows else "not in this video"))
    ious = [*anchor_ious, *[None] * (len(answer.anchors) - len(anchor_ious))]
    for number, (anchor, iou) in enumerate(zip(answer.anchors, ious, strict=True)):
        lanes.append(_lane(f"anchor {number + 1}", "anchor", [anchor], iou) | {"anchor": number})
    note = "no answer that can be read" if answer.spans is None else "" if answer.spans else "not in this video"
    lanes.append(_lane("answer", "answer", answer.spans or (), answer_iou, note))
    return lanes


def _lane(name: str, kind: str, spans: Sequence[Span], iou: float | None, note: str = "") -> Json:
    unusable = ", ".join(f"{span.start_s:g} – {span.end_s:g}" for span in spans if not is_usable(span))
    return {
        "name": name,
        "kind": kind,
        "bars": [[span.start_s, span.end_s] for span in spans if is_usable(span)],
        "iou": None if iou is None else round(iou, 3),
        "note": f"{unusable} cannot be used" if unusable else note,
    }


def said(answer: Answer) -> str:
    """The answer in words.

    >>> said(Answer(True, (Span(3.0, 7.5),))), said(Answer(True, ())), said(Answer(False, None))
    ('3.0 – 7.5 s', 'not in this video', 'no answer that can be read')
    """
    if answer.spans is None:
        return "no answer that can be read"
    return ", ".join(f"{span.start_s:.1f} – {span.end_s:.1f} s" for span in answer.spans) or "not in this video"
