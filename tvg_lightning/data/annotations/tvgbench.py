"""TVGBench (Time-R1): a JSON list of questions over videos of five sources.

``{"path": "./dataset/timer1/videos/tvgbench_data/a.mp4", "question": "…", "answer": "13.4-28.1",
"start": null, "end": null, "duration": 30.12}``

Where ``start`` and ``end`` are given, that part of the file is the video: answer and duration are relative to it.
There are no ids: they are ``<file's stem>:<index from 0>``. The folder in front of the file's name is that of
the authors' machine and is left out.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from tvg_lightning.data.annotations.fields import cut, identity_of_location, number, query, text, video_file
from tvg_lightning.data.annotations.records import Record
from tvg_lightning.files import at, read_items
from tvg_lightning.schema import Span

KEYS = ("path", "question", "answer", "start", "end", "duration")
FOLDER = "./dataset/timer1/videos/tvgbench_data/"

_NUMBER = r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_ANSWER = re.compile(rf"\s*(?P<start>{_NUMBER})\s*-\s*(?P<end>{_NUMBER})\s*")


def records(annotations: Path) -> Iterator[Record]:
    """All questions; ValueError naming file and item where the form is broken."""
    for index, (location, given) in enumerate(read_items(annotations, KEYS)):
        with at(annotations, location):
            record = Record(
                location,
                identity_of_location(annotations, index),
                video_file(text(given, "path").removeprefix(FOLDER)),
                number(given, "duration"),
                query(given, "question"),
                (_window(text(given, "answer")),),
                cut(given, "start", "end"),
            )
        yield record


def _window(answer: str) -> Span:
    """
    >>> _window("13.4-28.1")
    Span(start_s=13.4, end_s=28.1)
    """
    match = _ANSWER.fullmatch(answer)
    if match is None:
        raise ValueError(f"answer must be 'START-END' in seconds, got {answer!r}")
    return Span(float(match["start"]), float(match["end"]))
