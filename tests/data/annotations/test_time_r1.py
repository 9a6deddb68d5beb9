import json
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.data.annotations import time_r1
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.schema import Sample, Span

GOOD: dict[str, Any] = {
    "video": f"{time_r1.FOLDER}goat.mp4",
    "duration": 20.5,
    "timestamp": [1.0, 4.0],
    "sentence": "a goat eats",
    "qid": "my|goats|goat|a goat eats",
    "video_start": None,
    "video_end": None,
    "difficulty": 50.0,
    "pred": [0.0, 3.0],
}


def save(folder: Path, *items: Any) -> Path:
    path = folder / "train.json"
    path.write_text(json.dumps(items))
    return path


def test_the_forms_of_an_item(tmp_path: Path) -> None:
    part = {**GOOD, "video": "goat_00:00:39:000.mp4", "video_start": 39, "video_end": 59.5, "timestamp": [1, 14220.0]}
    path = save(tmp_path, GOOD, part, {**GOOD, "qid": "late", "timestamp": [30, 40]})
    result = clean(path, time_r1.records(path))
    qid = str(GOOD["qid"])
    assert result.samples == (
        Sample(qid, "goat.mp4", 20.5, "a goat eats", (Span(1.0, 4.0),)),
        Sample(f"{qid}#2", "goat_00:00:39:000.mp4", 20.5, "a goat eats", (Span(1.0, 20.5),), Span(39.0, 59.5)),
    )
    assert result.report.fixed == (("item 1", "id occurs again: a number is added"),)
    assert result.report.refused == (("item 2", "window begins after the video's end"),)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"timestamp": "1-4"}, "timestamp must hold"), ({"video_end": 3}, "video_start must be a number")],
)
def test_a_broken_item_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"train\.json:item 1: {message}"):
        list(time_r1.records(save(tmp_path, GOOD, {**GOOD, **change})))


def test_the_original(shared: Path) -> None:
    path = shared / "data" / "annotations" / "tvgbench__xiaomi-research_time-r1" / "train_2k5.json"
    found = list(time_r1.records(path))
    report = clean(path, found).report
    assert len(found) == report.num_read == 2500 and report.num_clipped == 48 and report.num_fixed == 1
    assert sum(record.cut is not None for record in found) == 665
    assert max(window.end_s for record in found for window in record.windows) == 14220.0
    for record in found:  # a cut is as long as its video
        assert record.cut is None or record.duration_s == record.cut.end_s - record.cut.start_s
