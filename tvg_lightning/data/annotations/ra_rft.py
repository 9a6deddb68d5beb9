"""RA-RFT (arXiv 2511.23151): a JSON list of items with one or more queries, some about nothing in the video.

``{"video": "/data/…/a.mp4", "query_text": "…", "timestamp": [9.3, 14.4], "video_start": null, "video_end": null,
"duration": 27.25, "GRPO": [{"q": "…", "a": "<answer>9.3 to 14.4</answer>", "r": true, "difficulty": "original"},
{"q": "…", "a": "<answer>no, because …</answer>", "r": false, "difficulty": "easy"}]}``

``r`` says whether the video can answer the query, in any order. An answerable one has the item's ``timestamp``, a
refusable one the windows (): its event is not in the video. The kind of a query is its ``difficulty`` (original; easy,
medium, hard; in their evaluator weak, moderate, strong), or ``answerable`` and ``refusable`` where the file has none.
Ids are ``<file's stem>:<item>_<query>``, both from 0. The folders in front of a file's name are those of the authors'
machine and are left out.

``a``, the reference answer, is not kept; what is odd about it is noted. For an answerable query it says the window once
more. For a refusable one it is a sentence that says why not, which RA-RFT's reward compares with the policy's by a text
encoder (all-MiniLM-L6-v2) and its evaluation by a language model: neither is part of this project, and the reward
``refusal`` and the metrics of refusals go by the windows alone.

The TVGBench and QVHighlights files have no durations. Lengths in a second file (see ``lengths``) give them, or
TVGBench's own list, which also gives the cut that these items leave out, and the true window: theirs adds the cut's
start to the window's start, but the cut's end to the window's end.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from tvg_lightning.data.annotations import tvgbench
from tvg_lightning.data.annotations.fields import (
    base_name,
    cut,
    identity_of_location,
    kind,
    number,
    query,
    spans,
    text,
    video_stem,
)
from tvg_lightning.data.annotations.lengths import lengths
from tvg_lightning.data.annotations.records import Record
from tvg_lightning.files import at, first_keys, read_items, require
from tvg_lightning.schema import Span

KEYS = ("video", "timestamp", "GRPO")

_TAG = re.compile(r"</?\w+>")


@dataclass(frozen=True, slots=True)
class _Companion:
    """A second file: lengths by a video's name, or TVGBench's questions by the video's and their own words."""

    durations_s: Mapping[str, float] = field(default_factory=dict)
    questions: Mapping[tuple[str, str], Record] = field(default_factory=dict)


def records(annotations: Path, companion: Path | None = None) -> Iterator[Record]:
    """All queries of all items; ValueError naming file and item where the form is broken."""
    return _records(annotations, _read_companion(companion))


def _records(annotations: Path, companion: _Companion) -> Iterator[Record]:
    for index, (location, given) in enumerate(read_items(annotations, KEYS)):
        with at(annotations, location):
            if not isinstance(given["GRPO"], list):
                raise ValueError(f"GRPO must be a list of queries, got {given['GRPO']!r}")
            item = _item(given, companion)
        for number_, asked in enumerate(given["GRPO"]):
            place = f"{location} query {number_}"
            with at(annotations, place):
                record = _record(place, identity_of_location(annotations, f"{index}_{number_}"), item, asked, number_)
            yield record


@dataclass(frozen=True, slots=True)
class _Item:
    """Of an item, all that its queries share. ``windows`` None: its ``timestamp`` is empty."""

    video: str
    duration_s: float | None
    windows: tuple[Span, ...] | None
    cut: Span | None
    fixed: tuple[str, ...]


def _item(given: Mapping[str, Any], companion: _Companion) -> _Item:
    video, fixed = base_name(text(given, "video"))
    windows = spans(given["timestamp"], "timestamp")
    known = companion.questions.get((video, str(given.get("query_text")).strip()))
    if known is not None:
        why = (
            ()
            if known.windows == windows
            else ("part of a file, which TVGBench alone tells: its cut and window are taken",)
        )
        return _Item(video, known.duration_s, known.windows, known.cut, (*fixed, *why))
    stem = video_stem(PurePosixPath(video).name)
    duration_s = number(given, "duration") if given.get("duration") is not None else companion.durations_s.get(stem)
    return _Item(video, duration_s, windows, cut(given, "video_start", "video_end"), fixed)


def _record(location: str, sample_id: str, item: _Item, asked: Mapping[str, Any], index: int) -> Record:
    require(asked, ("q", "r"))
    is_answerable = asked["r"]
    if not isinstance(is_answerable, bool):
        raise ValueError(f"r must be true or false, got {is_answerable!r}")
    noted = list(_notes(asked, is_answerable))
    if item.windows is None and index == 0:
        noted.append("timestamp of the item is empty")
    if item.windows is None and is_answerable:
        noted.append("answerable, but without a timestamp: the truth is unknown")
    return Record(
        location,
        sample_id,
        item.video,
        item.duration_s,
        query(asked, "q"),
        item.windows if is_answerable else (),
        item.cut,
        item.fixed,
        _kind(asked, is_answerable),
        tuple(noted),
    )


def _kind(asked: Mapping[str, Any], is_answerable: bool) -> str:
    if asked.get("difficulty") is not None:
        return kind(asked, "difficulty")
    return "answerable" if is_answerable else "refusable"


def _notes(asked: Mapping[str, Any], is_answerable: bool) -> Iterator[str]:
    answer = asked.get("a")
    if not isinstance(answer, str) or not _TAG.sub("", answer.partition("<correct")[0]).strip():
        yield f"reference answer of {'an answerable' if is_answerable else 'a refusable'} query is empty"
    if isinstance(answer, str) and "<correct>" in answer:
        yield "reference answer has <correct> where RA-RFT's code reads <correction>"


def _read_companion(companion: Path | None) -> _Companion:
    if companion is None or "answer" not in first_keys(companion):
        return _Companion(lengths(companion))
    questions: dict[tuple[str, str], Record] = {}
    repeated: set[tuple[str, str]] = set()
    for record in tvgbench.records(companion):
        key = (PurePosixPath(record.video).name, record.query.strip())
        if key in questions:
            repeated.add(key)  # nothing says which of them is meant
        questions[key] = record
    return _Companion(questions={key: record for key, record in questions.items() if key not in repeated})
