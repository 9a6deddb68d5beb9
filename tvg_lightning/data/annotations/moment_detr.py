"""The JSON lines that Moment-DETR introduced and many releases share, for several data sets.

``{"qid": 7, "query": "a dog runs", "vid": "x_60.0_210.0", "duration": 150, "relevant_windows": [[82, 150]]}``

Times are seconds from the start of the file that ``vid`` names. Without ``relevant_windows`` the truth is
hidden. Other keys (saliency scores, clip ids) are not used.
"""

from collections.abc import Iterator
from pathlib import Path

from tvg_lightning.data.annotations.fields import identity, number, query, spans, text, video_file
from tvg_lightning.data.annotations.records import Record
from tvg_lightning.files import at, read_items

KEYS = ("qid", "query", "vid", "duration")


def records(annotations: Path, suffix: str = ".mp4") -> Iterator[Record]:
    """All lines, by their qid; ValueError with file and line where the form is broken."""
    for location, given in read_items(annotations, KEYS):
        with at(annotations, location):
            windows = spans(given.get("relevant_windows", []), "relevant_windows")
            record = Record(
                location,
                identity(given, "qid"),
                video_file(text(given, "vid"), suffix),
                number(given, "duration"),
                query(given, "query"),
                windows,
            )
        yield record
