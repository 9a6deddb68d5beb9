"""Whole runs through ``train.main``: three stages, power cuts, adapters, predictions."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import train
from tests.doubles import losses
from tvg_lightning.modules.settings import GRPOSettings, StageSettings
from tvg_lightning.modules.staged import StagedModule
from tvg_lightning.policy.loading import TINY_FOLDER
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.rewards.weights import RewardWeights
from tvg_lightning.traces import read_traces

ROOT = Path(__file__).parents[1]
STAGES = ["explore", "imitate", "refine"]


def stage(name: str, steps: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "steps": steps, "batch_size": 2, "optimizer": {"lr": 1e-3}, **more}


def grpo(length: dict[str, int] | None = None, reward: dict[str, float] | None = None, **more: Any) -> dict[str, Any]:
    """The keys of a GRPO stage: what completions earn, and the settings of GRPO."""
    weights = (
        "format",
        "soft_iou",
        "anchor_accuracy",
        "verb_completion",
        "action_recognition",
        "video_description",
    )
    # short completions: a test needs the paths, not the policy's best
    settings = {"num_generations": 3, "generation": {"max_new_tokens": 70}, "beta": 0.0, **more}
    earned = {"reward": reward or dict.fromkeys(weights, 1.0), **({} if length is None else {"length": length})}
    return {"grpo": settings, **earned}


def write_config(folder: Path, shapes: Path, **model: Any) -> Path:
    """A small staged run in ``folder`` on the rendered videos in ``shapes``."""
    split = {"name": "held_out", "annotations": str(shapes / "held_out.jsonl"), "limit": 2}
    stages = [
        stage("explore", 6, **grpo(beta=0.04), mixture={"tvg": 0.7, "verb_completion": 0.3}),
        stage("imitate", 6, start_from="base", sft=True),
        stage("refine", 6, **grpo(beta=0.04)),
    ]
    config = {
        "seed_everything": 3,
        "trainer": {
            "accelerator": "cpu",
            "devices": 1,
            "default_root_dir": str(folder),
            "log_every_n_steps": 1,
            "num_sanity_val_steps": -1,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "logger": False,
            "callbacks": [
                {"class_path": "tests.doubles.LossLog", "init_args": {"file": str(folder / "losses.jsonl")}},
            ],
        },
        "step_checkpoint": {"every_n_steps": 2},
        "throughput": {"peak_tflops": 1.0},  # not measured
        "model": {
            "class_path": "tvg_lightning.modules.staged.StagedModule",
            "init_args": {
                "policy": {"checkpoint": "tiny"},
                "evaluation": {"max_new_tokens": 12},
                "stages": stages,
                **model,
            },
        },
        "data": {
            "videos": str(shapes / "videos"),
            "train": str(shapes / "train.jsonl"),
            "targets": str(shapes / "targets.jsonl"),
            "val": [split],
            "test": [split],
            "predict": str(shapes / "held_out.jsonl"),
            "frames": {"fps": 2.0, "max_frames": 8, "max_pixels": 784},
            "eval_tasks": ["tvg", "action_recognition"],
            "cache": str(shapes / "cache"),
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config_in.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def in_new_process(*args: str | Path, limit_s: float = 300.0) -> subprocess.CompletedProcess[str]:
    """``train.py`` by itself, with the processes it starts; if they wait for each other for ever, they are ended."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "train.py"), *map(str, args)]
    with subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            out, err = process.communicate(timeout=limit_s)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Path:
    """The folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    train.main(["fit", "--config", str(write_config(folder, shapes))])
    return folder


def test_three_stages_in_one_fit(whole_run: Path) -> None:
    rows = json.loads((whole_run / "summary.json").read_text(encoding="utf-8"))
    assert [row["stage"] for row in rows] == ["base", *STAGES]
    assert [row["steps"] for row in rows] == [0, 6, 6, 6]
    for row in rows:
        assert {
            "mIoU",
            "R1@0.3",
            "R1@0.5",
            "R1@0.7",
            "AR",
            "anchor_mIoU",
            "format_rate",
            "seconds",
        } <= row.keys()
    assert [name for name, _, _ in losses(whole_run / "losses.jsonl")] == [s for s in STAGES for _ in range(6)]
    assert (whole_run / "checkpoints" / "final.ckpt").is_file()


def test_every_rollout_leaves_a_trace(whole_run: Path) -> None:
    traces = list(read_traces(whole_run / "traces" / "explore-rank0.jsonl"))
    assert [(t.step, t.rollout) for t in traces] == [(s, g) for s in range(6) for _ in range(2) for g in range(3)]
    assert {t.stage for t in traces} == {"explore"}
    assert all(abs(sum(t.rewards.values()) - t.reward) < 1e-9 for t in traces)  # all weights are 1


def test_a_stage_that_starts_from_the_base_forgets_the_stage_before() -> None:
    base_stage = StageSettings("imitate", sft=True, steps=1, start_from="base")
    kept_stage = StageSettings("refine", sft=True, steps=1)
    module = StagedModule(PolicySettings(), [StageSettings("first", sft=True, steps=1), base_stage, kept_stage])
    module.configure_model()
    start = module.policy.trainable_weights()

    def train_a_little() -> None:
        with torch.no_grad():
            for parameter in module.policy.parameters():
                parameter.add_(0.01)

    def is_the_base() -> bool:
        return all(torch.equal(p, start[n]) for n, p in module.policy.named_parameters() if n in start)

    train_a_little()
    module.enter_stage(1)
    assert is_the_base()
    train_a_little()
    module.enter_stage(2)
    assert not is_the_base(), "a stage that starts from the previous one keeps its weights"


def test_the_reference_is_the_start_of_the_stage() -> None:
    settings, reward = GRPOSettings(beta=0.1), RewardWeights(format=1.0)
    stages = [StageSettings(name, grpo=settings, reward=reward, steps=1) for name in ("first", "second")]
    module = StagedModule(PolicySettings(tuning="lora"), stages)
    module.configure_model()
    with torch.no_grad():
        for parameter in module.policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.01)
    moved = module.policy.trainable_weights()
    assert module.objective is not None and module.objective.reference is not None
    assert not torch.equal(next(iter(module.objective.reference.values())), next(iter(moved.values())))
    module.enter_stage(1)
    assert all(torch.equal(module.objective.reference[name], value) for name, value in moved.items())


@pytest.mark.parametrize("killed_after", [3, 9, 15])
def test_a_power_cut_in_any_stage_costs_nothing(
    killed_after: int, whole_run: Path, tmp_path: Path, shapes: Path
) -> None:
    """kill -9, then ``--ckpt_path last``: the right stage, and losses equal to the last bit."""
    config = write_config(tmp_path, shapes)
    cut = yaml.safe_load(config.read_text(encoding="utf-8"))
    cut["trainer"]["callbacks"].append({"class_path": "tests.doubles.KillAt", "init_args": {"batch": killed_after}})
    (tmp_path / "cut.yaml").write_text(yaml.safe_dump(cut), encoding="utf-8")
    assert in_new_process("fit", "--config", tmp_path / "cut.yaml").returncode == -9

    resumed = in_new_process("fit", "--config", config, "--ckpt_path", tmp_path / "checkpoints" / "last.ckpt")
    assert resumed.returncode == 0, resumed.stderr
    whole = losses(whole_run / "losses.jsonl")
    found = losses(tmp_path / "losses.jsonl")
    after = found[killed_after + 1 :]
    assert after[0][1] <= killed_after + 1, "steps after the last checkpoint are taken again"
    assert after == whole[after[0][1] :]
    for name in ("explore", "refine"):
        file = f"traces/{name}-rank0.jsonl"
        assert (tmp_path / file).read_bytes() == (whole_run / file).read_bytes()
    rows = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    for row, expected in zip(rows, json.loads((whole_run / "summary.json").read_text(encoding="utf-8")), strict=True):
        assert {**row, "seconds": 0} == {**expected, "seconds": 0}


@pytest.mark.parametrize("tuning", ["lora", "qlora"])
def test_adapters_by_one_flag(tuning: str, tmp_path: Path, shapes: Path) -> None:
    stages = [stage("only", 3, **grpo(beta=0.04))]
    train.main(["fit", "--config", str(write_config(tmp_path, shapes, stages=stages)), "--tuning", tuning])
    saved = torch.load(tmp_path / "checkpoints" / "final.ckpt", weights_only=False)["state_dict"]
    assert saved and all("lora_" in name and ".visual." not in name for name in saved)
    assert any(bool(value.any()) for name, value in saved.items() if "lora_B" in name), "the adapters did not move"


def test_adapters_are_refused_on_another_base(tmp_path: Path, shapes: Path) -> None:
    stages = [stage("only", 1, sft=True)]
    train.main(["fit", "--config", str(write_config(tmp_path / "a", shapes, stages=stages)), "--tuning", "lora"])
    other = tmp_path / "other"
    shutil.copytree(TINY_FOLDER, other)
    weights = load_file(other / "model.safetensors")
    save_file({name: weight * 1.01 for name, weight in weights.items()}, other / "model.safetensors", {"format": "pt"})
    config = write_config(tmp_path / "b", shapes, stages=stages, policy={"checkpoint": str(other)})
    saved = ["--ckpt_path", str(tmp_path / "a" / "checkpoints" / "final.ckpt")]
    with pytest.raises(ValueError, match="adapters were trained on tiny, and mean nothing on another base"):
        train.main(["validate", "--config", str(config), "--tuning", "lora", *saved])


def test_validate_test_and_predict(whole_run: Path, shapes: Path) -> None:
    config, last = str(whole_run / "config_in.yaml"), str(whole_run / "checkpoints" / "final.ckpt")
    train.main(["validate", "--config", config, "--ckpt_path", last])
    train.main(["test", "--config", config, "--ckpt_path", last])
    train.main(["predict", "--config", config, "--ckpt_path", last])
    lines = (whole_run / "predictions-rank0.jsonl").read_text(encoding="utf-8").splitlines()
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


def test_a_checkpoint_rebuilds_its_module(whole_run: Path) -> None:
    module = StagedModule.load_from_checkpoint(whole_run / "checkpoints" / "final.ckpt", weights_only=False)
    assert [s.name for s in module.stages] == STAGES and module.stage_index == 2


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


def test_predict_on_a_real_clip(shared: Path, whole_run: Path, tmp_path: Path, shapes: Path) -> None:
    """It runs through; what the tiny policy says about a kitchen means nothing."""
    annotations = shared / "data/annotations/charades_sta__microsoft_VideoX/charades_sta_test.txt"
    line = next(x for x in annotations.read_text(encoding="utf-8").splitlines() if x.startswith("3MSZA"))
    query = line.strip().split("##")[1]
    record = {"video": "3MSZA.mp4", "duration": 30.96, "query": query, "windows": []}
    (tmp_path / "real.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    changes = {"videos": shared / "data/videos/tvg_benchmark_clips", "predict": tmp_path / "real.jsonl"}
    args = [f"--data.{key}={value}" for key, value in changes.items()]
    train.main(["predict", "--config", str(write_config(tmp_path, shapes)), *args])
    (found,) = [json.loads(line) for line in (tmp_path / "predictions-rank0.jsonl").read_text("utf-8").splitlines()]
    assert found["query"] == query and found["text"]
    assert len(found["frame_times_s"]) == 8 and 0 <= found["frame_times_s"][-1] < 31
