"""People's own data: one JSON object a line, or all of them in one JSON list.

``{"video": "a.mp4", "query": "the door opens", "windows": [[3.5, 7.0]], "duration": 31.0, "id": "a/1"}``

``start`` and ``end`` may stand in place of ``windows``. ``windows`` is null where the truth is unknown, and [] where
the event is not in the video, which is a truth as any other. ``id``, a text or a whole number, may be left out.
``kind`` may be added, a word for the kind of question; ``captions``, texts on the video's events in order of time;
``rollouts``, answers of a model to this query, as it wrote them; ``weight``, by which training draws the sample before
others (``filter timelens2`` writes it). ``cut: [start, end]`` makes a part of the file the video: its windows and
duration are then relative to it.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tvg_lightning.data.annotations.fields import identity, identity_of_location, kind, number, span, text, texts
from tvg_lightning.data.annotations.records import Record, clean
from tvg_lightning.data.annotations.report import ReadResult
from tvg_lightning.files import Location, at, is_number, plain_text, read_items, require, write_jsonl
from tvg_lightning.schema import Sample, Span

KEYS = frozenset(
    {"video", "query", "windows", "start", "end", "duration", "id", "cut", "kind", "captions", "rollouts", "weight"}
)


def read(path: str | Path, videos_outside: bool = False) -> ReadResult:
    """All samples of a file and what was done to them; see ``records`` and ``clean``."""
    return clean(Path(path), records(Path(path)), videos_outside)


def records(file: Path) -> Iterator[Record]:
    """Every object; ValueError with file and line (or item) for one that is not of the form above."""
    for index, (location, given) in enumerate(read_items(file, ())):
        with at(file, location):
            record = _to_record(file, location, index, given)
        yield record


def write(path: str | Path, samples: Iterable[Sample]) -> None:
    """Write samples so that ``read`` gives them back; the file appears whole or not at all."""
    write_jsonl(Path(path), map(_from_sample, samples))


def _to_record(file: Path, location: Location, index: int, given: Mapping[str, Any]) -> Record:
    if "vid" in given and "video" not in given:
        require(given, ("video", "query", "duration"))  # of a published form: it is said which
    unknown = sorted(given.keys() - KEYS)
    duration_s = number(given, "duration")
    if not 0 < duration_s < float("inf"):
        raise ValueError(f"duration must be a positive number of seconds, got {duration_s}")
    video, query = text(given, "video"), text(given, "query")
    cut = None if given.get("cut") is None else span(given["cut"], "cut")
    if cut is not None and not 0 <= cut.start_s < cut.end_s < float("inf"):
        raise ValueError(f"cut must be [start, end] with 0 <= start < end, got {list(cut)}")
    fixed = (plain_text(f"keys not used: {', '.join(unknown)}"),) if unknown else ()
    place = location if isinstance(location, int) else index
    sample_id = identity(given, "id") if "id" in given else identity_of_location(file, place)
    return Record(
        location,
        sample_id,
        video,
        duration_s,
        query,
        windows_of(given),
        cut,
        fixed,
        kind(given, "kind") if "kind" in given else "",
        captions=texts(given, "captions"),
        rollouts=texts(given, "rollouts"),
        weight=_weight(given),
    )


def _weight(given: Mapping[str, Any]) -> float:
    if "weight" not in given:
        return 1.0
    weight = given["weight"]
    if not (is_number(weight) and 0 <= weight < float("inf")):
        raise ValueError(f"weight must be a number of 0 or more, got {weight!r}")
    return float(weight)


def windows_of(given: Mapping[str, Any]) -> tuple[Span, ...] | None:
    """The true windows of an object: (): not in the video; None: unknown; ValueError where it does not say them."""
    if "windows" in given:
        if "start" in given or "end" in given:
            raise ValueError("both windows and start/end are given; keep one of them")
        if given["windows"] is None:
            return None
        if not isinstance(given["windows"], list):
            raise ValueError(f"windows must be a list of [start, end] or null, got {given['windows']!r}")
        return tuple(span(pair, "windows") for pair in given["windows"])
    if "start" not in given or "end" not in given:
        raise ValueError("windows is missing (or start and end); write null where the truth is unknown")
    return (Span(number(given, "start"), number(given, "end")),)


def _from_sample(sample: Sample) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": sample.sample_id,
        "video": sample.video,
        "query": sample.query,
        "windows": None if sample.windows is None else [list(window) for window in sample.windows],
        "duration": sample.duration_s,
    }
    if sample.cut is not None:
        record["cut"] = list(sample.cut)
    if sample.kind:
        record["kind"] = sample.kind
    if sample.captions:
        record["captions"] = list(sample.captions)
    if sample.rollouts:
        record["rollouts"] = list(sample.rollouts)
    if sample.weight != 1.0:
        record["weight"] = sample.weight
    return record
