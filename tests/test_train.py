"""``train.py``: its command line, what it refuses, power cuts, adapters, predictions."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import train
from tests.doubles import losses
from tests.families import OTHERS_SLOW
from tests.runs import (
    WITHOUT_VALIDATION,
    for_checkpoint,
    grpo,
    in_new_process,
    in_processes,
    stage,
    with_callback,
    write_config,
)
from tvg_lightning.policy.loading import TINY_FOLDER
from tvg_lightning.traces import read_traces


def test_every_rollout_leaves_a_trace(staged_run: Path) -> None:
    traces = list(read_traces(staged_run / "traces" / "explore-rank0.jsonl"))
    assert [(t.step, t.rollout) for t in traces] == [(s, g) for s in range(6) for _ in range(2) for g in range(3)]
    assert {t.stage for t in traces} == {"explore"}
    assert all(abs(sum(t.rewards.values()) - t.reward) < 1e-9 for t in traces)  # all weights are 1


SLOW = pytest.mark.slow


@SLOW
@pytest.mark.parametrize("killed_after", [3, 9, 15])
def test_a_power_cut_in_any_stage_costs_nothing(
    killed_after: int, checkpoint: str, family_run: Path, tmp_path: Path, shapes: Path
) -> None:
    """kill -9, then ``--ckpt_path last``: the right stage, and losses equal to the last bit."""
    config = for_checkpoint(checkpoint, write_config(tmp_path, shapes))
    assert in_processes(tmp_path, "fit", "--config", config, *with_callback("KillAt", batch=killed_after)).codes == [-9]
    resumed = in_processes(tmp_path, "fit", "--config", config, "--ckpt_path", tmp_path / "checkpoints" / "last.ckpt")
    assert resumed.codes == [0], resumed.said
    whole = losses(family_run / "losses.jsonl")
    found = losses(tmp_path / "losses.jsonl")
    after = found[killed_after + 1 :]
    assert after[0][1] <= killed_after + 1, "steps after the last checkpoint are taken again"
    assert after == whole[after[0][1] :]
    for name in ("explore", "refine"):
        file = f"traces/{name}-rank0.jsonl"
        assert (tmp_path / file).read_bytes() == (family_run / file).read_bytes()
    rows = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    for row, expected in zip(rows, json.loads((family_run / "summary.json").read_text(encoding="utf-8")), strict=True):
        assert {**row, "seconds": 0} == {**expected, "seconds": 0}


@SLOW
def test_the_script_does_the_same_whatever_its_hashes_are(tmp_path: Path, shapes: Path) -> None:
    """As a user starts it: ``python train.py``, whose sets have another order in each process."""
    stages = [stage("only", 2, **grpo(generation={"max_new_tokens": 8}), mixture={"tvg": 0.5, "verb_completion": 0.5})]
    configs = [write_config(tmp_path / name, shapes, stages=stages) for name in ("here", "there")]
    train.main(["fit", "--config", str(configs[0])])
    done = in_new_process("fit", "--config", configs[1])
    assert done.codes == [0], done.said
    here, there = (losses(config.parent / "losses.jsonl") for config in configs)
    assert len(here) == 2 and there == here


@OTHERS_SLOW
@pytest.mark.parametrize("tuning", ["lora", "qlora"])
def test_adapters_by_one_flag(tuning: str, checkpoint: str, tmp_path: Path, shapes: Path) -> None:
    stages = [stage("only", 3, **grpo(beta=0.04))]
    config = for_checkpoint(checkpoint, write_config(tmp_path, shapes, stages=stages))
    train.main(["fit", "--config", str(config), "--tuning", tuning, *WITHOUT_VALIDATION])
    saved = torch.load(tmp_path / "checkpoints" / "final.ckpt", weights_only=False)["state_dict"]
    assert saved and all("lora_" in name and ".visual." not in name for name in saved)
    assert any(bool(value.any()) for name, value in saved.items() if "lora_B" in name), "the adapters did not move"


def test_adapters_are_refused_on_another_base(tmp_path: Path, shapes: Path) -> None:
    stages = [stage("only", 1, sft=True)]
    args = ["--tuning", "lora", *WITHOUT_VALIDATION]
    train.main(["fit", "--config", str(write_config(tmp_path / "a", shapes, stages=stages)), *args])
    other = tmp_path / "other"
    shutil.copytree(TINY_FOLDER, other)
    weights = load_file(other / "model.safetensors")
    save_file({name: weight * 1.01 for name, weight in weights.items()}, other / "model.safetensors", {"format": "pt"})
    config = write_config(tmp_path / "b", shapes, stages=stages, policy={"checkpoint": str(other)})
    saved = ["--ckpt_path", str(tmp_path / "a" / "checkpoints" / "final.ckpt")]
    with pytest.raises(ValueError, match="adapters were trained on tiny, and mean nothing on another base"):
        train.main(["validate", "--config", str(config), "--tuning", "lora", *saved])


@OTHERS_SLOW
def test_validate_test_and_predict(checkpoint: str, family_run: Path, tmp_path: Path, shapes: Path) -> None:
    config = str(for_checkpoint(checkpoint, write_config(tmp_path, shapes)))
    last = str(family_run / "checkpoints" / "final.ckpt")
    train.main(["validate", "--config", config, "--ckpt_path", last])
    train.main(["test", "--config", config, "--ckpt_path", last])
    train.main(["predict", "--config", config, "--ckpt_path", last])
    lines = (tmp_path / "predictions-rank0.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == len((shapes / "held_out.jsonl").read_text(encoding="utf-8").splitlines())
    assert {"qid", "text", "span", "anchors", "frame_times_s"} <= records[0].keys()
    assert records[0]["frame_times_s"] == sorted(records[0]["frame_times_s"])


def test_settings_of_the_standing_callbacks(tmp_path: Path, shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(write_config(tmp_path, shapes))
    with pytest.raises(SystemExit) as ended:
        train.main(["fit", "--config", config, "--anchor_trace.picture_every", "7", "--print_config"])
    printed = yaml.safe_load(capsys.readouterr().out)
    assert ended.value.code == 0 and printed["anchor_trace"]["picture_every"] == 7
    assert printed["step_checkpoint"]["every_n_steps"] == 2, "the file's"
    twice = [{"class_path": "callbacks.anchor_trace.AnchorTrace"}]
    with pytest.raises(ValueError, match=r"trainer\.callbacks: AnchorTrace is in every run.*anchor_trace\.\*"):
        train.main(["fit", "--config", config, "--trainer.callbacks", json.dumps(twice)])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (["--model.init_args.policy.chekpoint", "x"], "chekpoint"),
        (["--data.mixture.tvg", "0.5"], "mixture"),
        (["--data.videos", "/no/such/folder"], "data.videos"),
        (["--data.train", "/no/such.jsonl"], "/no/such.jsonl"),
        (["--tuning", "half"], "tuning"),
    ],
)
def test_a_bad_config_is_refused_before_any_weight_loads(
    change: list[str], complaint: str, tmp_path: Path, shapes: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def no_weights(*_: object) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr("tvg_lightning.modules.grounding.PolicyBackbone", no_weights)
    with pytest.raises((SystemExit, ValueError)) as refused:
        train.main(["fit", "--config", str(write_config(tmp_path, shapes)), *change])
    assert complaint in str(refused.value) + capsys.readouterr().err


def test_a_negative_reward_weight_is_refused_by_name(
    tmp_path: Path, shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = grpo()
    bad["reward"]["soft_iou"] = -1.0
    with pytest.raises((SystemExit, ValueError)) as refused:
        train.main(["fit", "--config", str(write_config(tmp_path, shapes, stages=[stage("only", 1, **bad)]))])
    assert "reward.soft_iou" in str(refused.value) + capsys.readouterr().err


def test_predict_on_a_real_clip(shared: Path, tmp_path: Path, shapes: Path) -> None:
    """It runs through; what the tiny policy says about a kitchen means nothing."""
    annotations = shared / "data/annotations/charades_sta__microsoft_VideoX/charades_sta_test.txt"
    line = next(x for x in annotations.read_text(encoding="utf-8").splitlines() if x.startswith("3MSZA"))
    query = line.strip().split("##")[1]
    record = {"video": "3MSZA.mp4", "duration": 30.96, "query": query, "windows": None}
    (tmp_path / "real.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    changes = {"videos": shared / "data/videos/tvg_benchmark_clips", "predict": tmp_path / "real.jsonl"}
    args = [f"--data.{key}={value}" for key, value in changes.items()]
    train.main(["predict", "--config", str(write_config(tmp_path, shapes)), *args])
    (found,) = [json.loads(line) for line in (tmp_path / "predictions-rank0.jsonl").read_text("utf-8").splitlines()]
    assert found["query"] == query and found["text"]
    assert len(found["frame_times_s"]) == 8 and 0 <= found["frame_times_s"][-1] < 31
