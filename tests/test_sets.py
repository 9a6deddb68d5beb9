"""Runs whose answers are sets of windows: trained, evaluated by kind, predicted, scored."""

import json
from pathlib import Path

import pytest

import train
from tests.runs import WITHOUT_VALIDATION, grpo, stage, write_config
from tvg_lightning.tools.score import main as score
from tvg_lightning.traces import read_traces

SETS = ["--data.method", "timelens2", "--data.eval_tasks", "[tvg]"]
REWARD = {"format": 1.0, "set_iou": 1.0, "wasserstein": 1.0, "refusal": 0.5}


@pytest.fixture
def annotations(shapes: Path, tmp_path: Path) -> Path:
    """The samples of the rendered videos, of which some have two windows, some none."""
    lines = [json.loads(line) for line in (shapes / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    for number, line in enumerate(lines):
        line["kind"] = ("plain", "every", "absent")[number % 3]
        line["windows"] = ([[1.0, 2.0]], [[1.0, 2.0], [4.0, 6.0]], [])[number % 3]
    path = tmp_path / "sets.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_run_on_sets_from_fit_to_score(
    annotations: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, shapes, stages=[stage("only", 2, **grpo(reward=REWARD))])
    held_out = json.dumps([{"name": "sets", "annotations": str(annotations), "limit": 6}])
    data = [*SETS, "--data.train", str(annotations), "--data.val", held_out, "--data.predict", str(annotations)]
    train.main(["fit", "--config", str(config), *data])
    row = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))[-1]
    assert {"C-Acc", "set_IoU", "EtF1", "mIoU/plain", "mIoU/every", "mIoU/absent"} <= row.keys()
    (file,) = (tmp_path / "traces").glob("only*.jsonl")
    traces = list(read_traces(file))
    assert all(trace.is_set and set(trace.rewards) == set(REWARD) for trace in traces)
    assert {trace.windows == () for trace in traces} == {True, False} and all(t.answer_iou is not None for t in traces)
    train.main(["predict", "--config", str(config), *data, "--ckpt_path", str(tmp_path / "checkpoints" / "final.ckpt")])
    capsys.readouterr()
    score("jsonl", annotations, tmp_path)
    said = capsys.readouterr().out
    assert "C-Acc" in said and "EtF1" in said and "mIoU" in said


def test_answers_without_a_thought(shapes: Path, tmp_path: Path) -> None:
    stages = [stage("only", 1, **grpo(reward={"format": 1.0, "iou": 1.0}))]
    config = write_config(tmp_path, shapes, stages=stages)
    args = ["--data.method", "time_r1", "--data.thought", "false", *WITHOUT_VALIDATION]
    train.main(["fit", "--config", str(config), *args])
    (file,) = (tmp_path / "traces").glob("only*.jsonl")
    assert len(list(read_traces(file))) == 6
