"""Time-R1's training set, train_2k5: a JSON list.

``{"video": "./dataset/timer1/videos/timerft_data/a.mp4", "duration": 93.3, "timestamp": [1.0, 4.0],
"sentence": "…", "qid": "my|cosmo|a|…", "video_start": null, "video_end": null, "difficulty": 50.0, "pred": [0, 3]}``

Where ``video_start`` and ``video_end`` are given, that part of the named file is the video (duration is their
difference). Most of those names also contain the part (``a_00:00:39:000_00:01:24:700.mp4``), which leaves open
whether the authors' files were cut already; their release hands both numbers to its video reader, so here they
are a cut of the named file. With files of the parts alone, remove ``cut`` after ``data convert``.
The folder in front of the name is that of the authors' machine and is left out. ``difficulty`` and ``pred``
(IoU of their base model's answer, and that answer) are not used.
"""

from collections.abc import Iterator
from pathlib import Path

from tvg_lightning.data.annotations.fields import cut, identity, number, query, span, text, video_file
from tvg_lightning.data.annotations.records import Record, numbered
from tvg_lightning.files import at, read_items

KEYS = ("video", "duration", "timestamp", "sentence", "qid")
FOLDER = "./dataset/timer1/videos/timerft_data/"


def records(annotations: Path) -> Iterator[Record]:
    """All items, by their qid; ValueError naming file and item where the form is broken."""
    return numbered(_records(annotations))


def _records(annotations: Path) -> Iterator[Record]:
    for location, given in read_items(annotations, KEYS):
        with at(annotations, location):
            record = Record(
                location,
                identity(given, "qid"),
                video_file(text(given, "video").removeprefix(FOLDER)),
                number(given, "duration"),
                query(given, "sentence"),
                (span(given["timestamp"], "timestamp"),),
                cut(given, "video_start", "video_end"),
            )
        yield record
