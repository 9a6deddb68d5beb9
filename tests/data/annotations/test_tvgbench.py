import json
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.data.annotations import tvgbench
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.schema import Sample, Span

GOOD: dict[str, Any] = {
    "path": f"{tvgbench.FOLDER}goat.mp4",
    "question": "a goat eats",
    "answer": "1.5-8",
    "start": None,
    "end": None,
    "duration": 20.5,
    "dataset_name": "goats",
}


def save(folder: Path, *items: Any) -> Path:
    path = folder / "bench.json"
    path.write_text(json.dumps(items))
    return path


def test_the_forms_of_an_item(tmp_path: Path) -> None:
    cut = {**GOOD, "path": "mine/goat.mkv", "start": 30, "end": 50.5, "answer": "1e-05-20.9", "question": " why? "}
    path = save(tmp_path, GOOD, cut, {**GOOD, "answer": "8.5-8.5"})
    result = clean(path, tvgbench.records(path))
    assert result.samples == (
        Sample("bench:0", "goat.mp4", 20.5, "a goat eats", (Span(1.5, 8.0),)),
        Sample("bench:1", "mine/goat.mkv", 20.5, "why?", (Span(1e-05, 20.5),), Span(30.0, 50.5)),
    )
    assert result.report.fixed == (("item 1", "blanks in the query"),)
    assert result.report.clipped == (("item 1", "(1e-05, 20.9) cut to (1e-05, 20.5)"),)
    assert result.report.refused == (("item 2", "window is empty"),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "1.5 to 8"}, "answer must be 'START-END'"),
        ({"answer": ""}, "answer must be a text"),
        ({"answer": [1.5, 8]}, "answer must be a text"),
        ({"start": 3}, "end must be a number"),
        ({"duration": None}, "duration must be a number"),
    ],
)
def test_a_broken_item_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"bench\.json:item 1: {message}"):
        list(tvgbench.records(save(tmp_path, GOOD, {**GOOD, **change})))


def test_the_original(shared: Path) -> None:
    path = shared / "data" / "annotations" / "tvgbench__xiaomi-research_time-r1" / "tvgbench.json"
    found = list(tvgbench.records(path))
    report = clean(path, found).report
    assert len(found) == 800 and sum(record.cut is not None for record in found) == 252
    assert sum(record.query != record.query.strip() for record in found) == 135
    assert (report.num_read, report.num_clipped) == (789, 27)
    assert [why for _, why in report.refused] == ["window is empty"] * 11
    over_s = [w.end_s - r.duration_s for r in found for w in r.windows if r.duration_s is not None]
    assert max(over_s) == pytest.approx(4.85, abs=0.005)
    durations: dict[str, set[float | None]] = {}
    for record in found:
        durations.setdefault(record.video, set()).add(record.duration_s)
    assert sum(len(values) > 1 for values in durations.values()) == 44
    assert not [record.video for record in found if "/" in record.video]
