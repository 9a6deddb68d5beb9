"""People's own data: one JSON object a line.

``{"video": "a.mp4", "query": "the door opens", "windows": [[3.5, 7.0]], "duration": 31.0, "id": "a/1"}``

``start`` and ``end`` may stand in place of ``windows``; ``windows`` may be [] where the truth is unknown;
``id`` may be left out. ``cut: [start, end]`` makes a part of the file the video: its windows and
duration are then relative to it.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tvg_lightning.data.annotations.report import ReadResult, Tally
from tvg_lightning.schema import Sample, Span

KEYS = frozenset({"video", "query", "windows", "start", "end", "duration", "id", "cut"})


def read(path: str | Path) -> ReadResult:
    """All samples of a file and what was done to them.

    A line that is not of the form above raises ValueError with file and line; a line of that form whose times
    cannot be true is left out and reported.
    """
    file = Path(path)
    tally = Tally(file)
    seen: dict[str, int] = {}
    for line, text in enumerate(_lines(file), start=1):
        if not text.strip():
            continue
        try:
            sample = _sample(tally, line, _record(text))
        except ValueError as error:
            raise ValueError(f"{file}:{line}: {error}") from error
        if sample is None:
            continue
        first = seen.setdefault(sample.sample_id, line)
        if first != line:
            raise ValueError(f"{file}:{line}: id {sample.sample_id!r} is already that of line {first}; make it unique")
        tally.samples.append(sample)
    return tally.result()


def write(path: str | Path, samples: Iterable[Sample]) -> None:
    """Write samples so that ``read`` gives them back; the file appears whole or not at all."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(_to_record(sample), ensure_ascii=False) + "\n" for sample in samples)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, file)


def _lines(file: Path) -> list[str]:
    if not file.is_file():
        raise ValueError(f"{file}: no such annotation file")
    try:
        return file.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def _record(text: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error}); write one object a line") from error
    if not isinstance(record, dict):
        raise ValueError("not a JSON object; write one object a line")
    return record


def _sample(tally: Tally, line: int, record: Mapping[str, Any]) -> Sample | None:
    unknown = sorted(record.keys() - KEYS)
    if unknown:
        tally.fixed.append((line, f"keys not used: {', '.join(unknown)}"))
    duration_s = _number(record, "duration")
    if not 0 < duration_s < float("inf"):
        raise ValueError(f"duration must be a positive number of seconds, got {duration_s}")
    sample_id, video, query = (_text(record, key) for key in ("id", "video", "query"))
    windows = tally.fit(line, _windows(record), duration_s)
    cut = None if record.get("cut") is None else _span(record["cut"], "cut")
    if cut is not None and not 0 <= cut.start_s < cut.end_s < float("inf"):
        raise ValueError(f"cut must be [start, end] with 0 <= start < end, got {list(cut)}")
    if windows is None:
        return None
    sample_id = sample_id or f"{tally.path.stem}:{line}"
    return Sample(sample_id, video, duration_s, tally.query(line, query), windows, cut)


def _windows(record: Mapping[str, Any]) -> list[Span]:
    if "windows" in record:
        if "start" in record or "end" in record:
            raise ValueError("both windows and start/end are given; keep one of them")
        if not isinstance(record["windows"], list):
            raise ValueError(f"windows must be a list of [start, end], got {record['windows']!r}")
        return [_span(pair, "windows") for pair in record["windows"]]
    if "start" not in record or "end" not in record:
        raise ValueError("windows is missing (or start and end); write [] where the truth is unknown")
    return [Span(_number(record, "start"), _number(record, "end"))]


def _span(pair: Any, key: str) -> Span:
    if not (isinstance(pair, list) and len(pair) == 2 and all(_is_number(value) for value in pair)):
        raise ValueError(f"{key} must hold [start, end] in seconds, got {pair!r}")
    return Span(float(pair[0]), float(pair[1]))


def _number(record: Mapping[str, Any], key: str) -> float:
    if not _is_number(record.get(key)):
        raise ValueError(f"{key} must be a number of seconds, got {record.get(key)!r}")
    return float(record[key])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(record: Mapping[str, Any], key: str) -> str:
    """A text that says something; "" for an absent id."""
    value = record.get(key, "" if key == "id" else None)
    if not isinstance(value, str) or (key in record and not value.strip()) or value is None:
        raise ValueError(f"{key} must be a text that is not empty, got {value!r}")
    return value


def _to_record(sample: Sample) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": sample.sample_id,
        "video": sample.video,
        "query": sample.query,
        "windows": [list(window) for window in sample.windows],
        "duration": sample.duration_s,
    }
    return record if sample.cut is None else {**record, "cut": list(sample.cut)}
