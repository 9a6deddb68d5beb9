import json
from pathlib import Path

from tvg_lightning.data.annotations import activitynet_captions
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.schema import Sample, Span


def test_an_object_a_video_with_its_traps(tmp_path: Path) -> None:
    times = [[0.5, 70.29], [61.3, 60.7], [5, 5], [1, 2]]
    sentences = ["A goat eats.", " It stops.", "It stands.", "  It\nruns. "]
    video = {"duration": 70.28999999999999, "timestamps": times, "sentences": sentences}
    (tmp_path / "val.json").write_text(json.dumps({"v_a": video}))
    result = clean(tmp_path / "val.json", activitynet_captions.records(tmp_path / "val.json"))
    assert result.samples == (
        Sample("v_a_0", "v_a.mp4", 70.28999999999999, "A goat eats.", (Span(0.5, 70.28999999999999),)),
        Sample("v_a_3", "v_a.mp4", 70.28999999999999, "It runs.", (Span(1.0, 2.0),)),
    )
    assert result.report.refused == (("v_a_1", "window is reversed"), ("v_a_2", "window is empty"))
    assert result.report.num_fixed == 2 and result.report.num_clipped == 1


def test_lines_whose_ids_repeat_are_numbered(tmp_path: Path) -> None:
    line = {"qid": 3, "query": "a goat eats", "vid": "v_a", "duration": 9.5, "relevant_windows": [[1, 2]]}
    (tmp_path / "val.jsonl").write_text(f"{json.dumps(line)}\n{json.dumps(line)}\n")
    result = clean(tmp_path / "val.jsonl", activitynet_captions.records(tmp_path / "val.jsonl"))
    assert [sample.sample_id for sample in result.samples] == ["3", "3#2"]
    assert result.report.fixed == ((2, "id occurs again: a number is added"),)
    assert result.samples[0] == Sample("3", "v_a.mp4", 9.5, "a goat eats", (Span(1.0, 2.0),))


def test_the_original_validation_split(shared: Path) -> None:
    path = shared / "data" / "annotations" / "activitynet_captions__r-cui_ViGA" / "val_1.json"
    found = list(activitynet_captions.records(path))
    report = clean(path, found).report
    assert len(found) == report.num_read == 17505 and len({record.video for record in found}) == 4917
    assert report.num_clipped == 134 and not report.refused
    over_s = [w.end_s - r.duration_s for r in found for w in r.windows if r.duration_s is not None]
    assert 0 < max(over_s) <= 0.01 + 1e-9
