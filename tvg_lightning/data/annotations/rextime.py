"""ReXTime: JSON lines or a JSON list, with ``relevant_windows`` or, in the fuller form, ``span``.

``{"qid": "qvh_val241", "query": "…", "duration": 150, "vid": "…", "relevant_windows": [[0, 28]], "ans": "A"}``
``{"question": "…", "answer": "From <s0> to <e0>, ….", "options": […], "span": [0, 28], "source": "…", …}``

The query is the question without its options. Ids are the qid, ``<file's stem>:<index>`` where there is none.
The test split hides its truth as span [0, 0] with an empty answer: there windows are unknown. A zero-length
window with an answer is a window as published, and ``clean`` refuses it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tvg_lightning.data.annotations.fields import identity, identity_of_location, number, query, spans, text, video_file
from tvg_lightning.data.annotations.records import Record
from tvg_lightning.files import at, read_items, require
from tvg_lightning.schema import Span


def records(annotations: Path) -> Iterator[Record]:
    """All questions; ValueError naming file and line (or item) where the form is broken."""
    for index, (location, given) in enumerate(read_items(annotations, ("vid", "duration"))):
        with at(annotations, location):
            record = Record(
                location,
                identity(given, "qid") if "qid" in given else identity_of_location(annotations, index),
                video_file(text(given, "vid")),
                number(given, "duration"),
                query(given, "query" if "query" in given else "question"),
                _windows(given),
            )
        yield record


def _windows(given: Mapping[str, Any]) -> tuple[Span, ...] | None:
    key = "relevant_windows" if "relevant_windows" in given else "span"
    require(given, (key,))
    windows = spans(given[key], key)
    hidden = given.get("ans", given.get("answer")) == "" and windows == (Span(0.0, 0.0),)
    return None if hidden else windows
