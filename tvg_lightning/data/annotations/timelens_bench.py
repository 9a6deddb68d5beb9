"""TimeLens-Bench (arXiv 2512.14698): an object a video, the spans beside their queries, one span a query.

``{"AB12C": {"duration": 31.2, "spans": [[0.0, 4.5]], "queries": ["a woman opens a cupboard"]}}``

The file of a video is its key with ``.mp4``; ids are ``AB12C_0``, the query's index within its video.
TimeLens's own scorer joins an answer to its truth by the text ``file>>>query>>>span``, the query with blanks and dots
taken off both ends: what that loses is noted, for here the id joins them.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tvg_lightning.data.annotations import per_video
from tvg_lightning.data.annotations.records import Record

MARK = ">>>"


def records(annotations: Path) -> Iterator[Record]:
    """All queries; ValueError naming file and video where the form is broken."""
    seen: set[tuple[object, ...]] = set()
    for record in per_video.records(annotations, keys=("spans", "queries")):
        key = (record.video, cleaned(record.query), record.windows)
        noted = [f"{MARK} in the query: TimeLens's scorer cannot read its key"] if MARK in record.query else []
        if key in seen:
            noted.append("query and span stand here again: TimeLens's scorer counts them once")
        seen.add(key)
        yield replace(record, noted=tuple(noted))


def cleaned(query: str) -> str:
    """A query as TimeLens puts it into a prompt: single blanks, no blanks and dots at either end.

    >>> cleaned("..she  closes it.. ")
    'she closes it'
    """
    return " ".join(query.split()).strip(" .")
