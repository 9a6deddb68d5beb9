import json
from pathlib import Path

from tvg_lightning.data.annotations import qvhighlights
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.schema import Sample, Span

FOLDER = Path("data") / "annotations" / "qvhighlights__jayleicn_moment_detr"


def test_times_are_those_of_the_named_part(tmp_path: Path) -> None:
    path = tmp_path / "val.jsonl"
    line = {"qid": 12, "query": "a goat", "duration": 150, "vid": "g_60.0_210.0", "saliency_scores": [[1, 1, 2]]}
    path.write_text(json.dumps({**line, "relevant_windows": [[2, 8], [82, 150]]}))
    result = clean(path, qvhighlights.records(path))
    windows = (Span(2.0, 8.0), Span(82.0, 150.0))
    assert result.samples == (Sample("12", "g_60.0_210.0.mp4", 150.0, "a goat", windows),)
    assert result.report.summary() == f"{path}: 1 read, 0 fixed, 0 clipped, 0 refused"


def test_the_original_validation_split(shared: Path) -> None:
    path = shared / FOLDER / "highlight_val_release.jsonl"
    result = clean(path, qvhighlights.records(path))
    assert result.report.num_read == 1550 and not (result.report.refused or result.report.clipped)
    assert sum(len(sample.windows) > 1 for sample in result.samples) == 530
    assert result.samples[0].sample_id == "2579" and result.samples[0].windows == (Span(82.0, 150.0),)
    assert len({sample.video for sample in result.samples}) == 1550 - 31  # as many occur with two queries


def test_the_original_test_split_hides_its_windows(shared: Path) -> None:
    path = shared / FOLDER / "highlight_test_release.jsonl"
    result = clean(path, qvhighlights.records(path))
    assert result.report.num_read == 1542 and not (result.report.refused or result.report.clipped)
    assert {sample.windows for sample in result.samples} == {None}
