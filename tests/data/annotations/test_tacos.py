import json
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.data.annotations import tacos
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.schema import Sample, Span

GOATS = {"timestamps": [[50, 125], [240, 260]], "sentences": ["a goat eats", "it leaves"], "fps": 25, "num_frames": 250}


def save(folder: Path, videos: Any) -> Path:
    path = folder / "goats.json"
    path.write_text(json.dumps(videos))
    return path


def test_frames_become_seconds(tmp_path: Path) -> None:
    path = save(tmp_path, {"s1-d2.avi": GOATS})
    result = clean(path, tacos.records(path))
    assert result.samples == (
        Sample("s1-d2_0", "s1-d2.avi", 10.0, "a goat eats", (Span(2.0, 5.0),)),
        Sample("s1-d2_1", "s1-d2.avi", 10.0, "it leaves", (Span(9.6, 10.0),)),
    )
    assert result.report.clipped == (("s1-d2_1", "(9.6, 10.4) cut to (9.6, 10.0)"),)


def test_lines_in_seconds_have_the_same_ids_and_files(tmp_path: Path) -> None:
    path = tmp_path / "goats.jsonl"
    line = {"qid": "s1-d2_0", "query": "a goat eats", "vid": "s1-d2", "duration": 10, "relevant_windows": [[2, 5]]}
    path.write_text(json.dumps(line) + "\n")
    (sample,) = clean(path, tacos.records(path)).samples
    assert sample == Sample("s1-d2_0", "s1-d2.avi", 10.0, "a goat eats", (Span(2.0, 5.0),))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"fps": 0}, "fps must be positive"), ({"fps": None}, "fps must be a number"), ({"num_frames": "9"}, "num_fr")],
)
def test_a_broken_clock_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"goats\.json:s1-d2\.avi: {message}"):
        list(tacos.records(save(tmp_path, {"s1-d2.avi": {**GOATS, **change}})))


def test_the_original_test_split(shared: Path) -> None:
    path = shared / "data" / "annotations" / "tacos__microsoft_VideoX" / "test.json"
    found = list(tacos.records(path))
    report = clean(path, found).report
    assert len(found) == report.num_read == 4001 and not report.refused
    truths: dict[tuple[str, str], set[tuple[Span, ...]]] = {}
    for record in found:
        truths.setdefault((record.video, record.query), set()).add(record.windows)
    assert len(found) - len(truths) == 832 and sum(len(windows) > 1 for windows in truths.values()) == 216
