"""TimeLens-100K (arXiv 2512.14698): JSON lines, an object a video with its events.

``{"source": "didemo", "video_path": "didemo/a.mp4", "duration": 30.0, "events": [{"query": "…", "span": [[2, 5]]}]}``

``span`` is a list of windows, or one window without the list around it. Ids are ``<file's stem>:<index>_<event>``,
both from 0. A ``video_path`` without a suffix, which TimeLens2 has, is a folder of frames (see ``fields``).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tvg_lightning.data.annotations.fields import (
    identity_of_location,
    number,
    query,
    spans,
    text,
    texts,
    video_or_folder,
)
from tvg_lightning.data.annotations.records import Record
from tvg_lightning.files import Location, at, read_items, require

KEYS = ("video_path", "duration", "events")


def records(annotations: Path) -> Iterator[Record]:
    """All events; ValueError naming file, line and event where the form is broken."""
    for index, (location, given) in enumerate(read_items(annotations, KEYS)):
        yield from of_events(annotations, index, location, given)


def of_events(annotations: Path, index: int, location: Location, given: Mapping[str, Any]) -> Iterator[Record]:
    """One record an event of the line that is number ``index`` of its file."""
    if not isinstance(given["events"], list):
        raise ValueError(f"{annotations}:{location}: events must be a list, got {given['events']!r}")
    for number_, event in enumerate(given["events"]):
        place = f"{location} event {number_}"
        with at(annotations, place):
            record = of_event(place, identity_of_location(annotations, f"{index}_{number_}"), given, event)
        yield record


def of_event(location: Location, sample_id: str, video: Mapping[str, Any], event: Mapping[str, Any]) -> Record:
    """The record of an event, which may be the same object as its video's."""
    require(event, ("query", "span"))
    name, fixed = video_or_folder(text(video, "video_path"))
    return Record(
        location,
        sample_id,
        name,
        number(video, "duration"),
        query(event, "query"),
        spans(event["span"], "span"),
        fixed=fixed,
        rollouts=texts(event, "rollouts"),
    )
