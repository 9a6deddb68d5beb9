"""MUSEG (arXiv 2505.20715): the lines of its two training stages, or the lists of its benchmarks.

``{"idx": 0, "problem": "… the text query 'a dog runs' …", "solution": [[2, 5]], "video": "videos/charades/a.mp4",
"duration": 31.0, "task": "tvg"}``
``{"video": "charades/a.mp4", "question": "… the textual sentence: a dog runs.", "groundtruth": [[2, 5]]}``

The sentence or the name of the action stands inside the words of the question, in templates that vary: in quotes, or
after "textual sentence:". ``task`` (``tvg``, ``tal``) is the kind of question. Ids are ``<file's stem>:<idx>``,
for idx restarts in each file, or ``<file's stem>:<index>``. Charades' videos and all of the benchmarks have no
duration: without lengths in a second file (see ``lengths``) they can be scored against, but no sample can be made.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tvg_lightning.data.annotations.fields import (
    identity,
    identity_of_location,
    kind,
    number,
    query,
    spans,
    text,
    video_file,
    video_stem,
)
from tvg_lightning.data.annotations.lengths import lengths
from tvg_lightning.data.annotations.records import Record, numbered
from tvg_lightning.files import at, first_keys, read_items

STAGE_KEYS = ("problem", "solution", "video", "idx")
BENCHMARK_KEYS = ("question", "groundtruth", "video")

_SENTENCE = re.compile(r"\btextual sentence:\s*(.+)", re.DOTALL)
_QUOTED = re.compile(r"(?<!\w)'(.+)'(?!\w)", re.DOTALL)  # not the ones of "the person's hands"


def records(annotations: Path, companion: Path | None = None) -> Iterator[Record]:
    """All questions; ``companion`` has lengths of videos. ValueError naming file and line where the form is broken."""
    keys = STAGE_KEYS if "problem" in first_keys(annotations) else BENCHMARK_KEYS
    return numbered(_records(annotations, keys, lengths(companion)))


def _records(annotations: Path, keys: tuple[str, ...], durations_s: Mapping[str, float]) -> Iterator[Record]:
    question_key, windows_key = keys[:2]
    for index, (location, given) in enumerate(read_items(annotations, keys)):
        with at(annotations, location):
            video = video_file(text(given, "video"))
            sentence = _sentence(query(given, question_key))
            place = identity(given, "idx") if "idx" in keys else index
            record = Record(
                location,
                identity_of_location(annotations, place),
                video,
                _duration_s(given, video, durations_s),
                query(given, question_key) if sentence is None else sentence,
                spans(given[windows_key], windows_key),
                kind=kind(given, "task") if given.get("task") is not None else "",
                noted=("no sentence is set apart in the question: all of it is the query",) if sentence is None else (),
            )
        yield record


def _sentence(question: str) -> str | None:
    """The sentence within the words of a question; None where none is set apart.

    >>> _sentence("When does 'washing the person's hands' occur?"), _sentence("Here is the textual sentence: it's late")
    ("washing the person's hands", "it's late")
    """
    match = _SENTENCE.search(question) or _QUOTED.search(question)
    return None if match is None else match[1]


def _duration_s(given: Mapping[str, Any], video: str, durations_s: Mapping[str, float]) -> float | None:
    if given.get("duration") is not None:
        return number(given, "duration")
    return durations_s.get(video_stem(PurePosixPath(video).name))
