"""TVG-R1's items: a JSON list or JSON lines.

Known of its release: the fuller ReXTime form (see ``rextime``), ``vid, duration, question, span``. The keys of
its training sets (TVG-RL-18K, TVG-Coldstart-13K) are stated nowhere that we could read: their items are known to
hold a video, a query, a span and, for the cold start, reasoning and a predicted span. So each value may stand
under any of the names below, the first that is there; the span is [start, end] in seconds, also written as text.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tvg_lightning.data.annotations.fields import identity, identity_of_location, number, query, spans, text, video_file
from tvg_lightning.data.annotations.records import Record, numbered
from tvg_lightning.files import at, read_items

VIDEO_KEYS = ("video", "vid", "video_path")
QUERY_KEYS = ("query", "question", "sentence", "problem")
SPAN_KEYS = ("span", "timestamp", "windows", "relevant_windows", "solution", "answer")
ID_KEYS = ("qid", "id")


def records(annotations: Path) -> Iterator[Record]:
    """All items, by qid or id, else ``<file's stem>:<index>``; ValueError naming the item whose form is another."""
    return numbered(_records(annotations))


def _records(annotations: Path) -> Iterator[Record]:
    for index, (location, given) in enumerate(read_items(annotations, ("duration",))):
        with at(annotations, location):
            id_key = next((key for key in ID_KEYS if key in given), None)
            span_key = _key(given, SPAN_KEYS)
            record = Record(
                location,
                identity_of_location(annotations, index) if id_key is None else identity(given, id_key),
                video_file(text(given, _key(given, VIDEO_KEYS))),
                number(given, "duration"),
                query(given, _key(given, QUERY_KEYS)),
                spans(_parsed(given[span_key]), span_key),
            )
        yield record


def _key(given: Mapping[str, Any], names: tuple[str, ...]) -> str:
    found = next((name for name in names if name in given), None)
    if found is None:
        raise ValueError(f"another form: one of {', '.join(names)} is needed, found {', '.join(given)}")
    return found


def _parsed(value: Any) -> Any:
    """``[1.0, 4.0]`` for the text "[1.0, 4.0]"; any other text is left for ``spans`` to refuse."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
