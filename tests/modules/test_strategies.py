"""What the words of trainer.strategy mean; DDP and FSDP2 by two processes: the losses and weights of one.

And nobody waits for ever for another.
"""

import json
import math
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy

from tests.doubles import losses
from tests.families import OTHERS_SLOW
from tests.runs import for_checkpoint, grpo, in_new_process, in_processes, stage, with_callback, write_config
from tvg_lightning.data.bad_videos import read_bad_videos
from tvg_lightning.modules.strategies import ShardedStrategy, strategy_of
from tvg_lightning.traces import Trace, read_traces

CPU_2 = ["--trainer.accelerator", "cpu", "--trainer.devices", "2"]
POLICY = "--model.init_args.policy"
TUNING = {
    "full": [],
    "lora": ["--tuning", "lora"],
    "tower": [f"{POLICY}.train_vision_tower", "true", f"{POLICY}.train_merger", "true"],
}
CHECKPOINTING = [f"{POLICY}.gradient_checkpointing", "true"]
OFFLOADED = [f"{POLICY}.cpu_offload", "true"]
SLOW = pytest.mark.slow
BFLOAT16 = ["--trainer.precision", "bf16-mixed"]


def by_stage(folder: Path) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for name, _, loss in losses(folder / "losses.jsonl"):
        found.setdefault(name, []).append(loss)
    return found


# ---- words


def test_the_words_that_mean_something_else_here() -> None:
    assert isinstance(strategy_of("fsdp"), ShardedStrategy)
    ddp = strategy_of("ddp")
    assert isinstance(ddp, DDPStrategy) and ddp._ddp_kwargs == {"gradient_as_bucket_view": True}
    with pytest.raises(ValueError, match=r"is FSDP1: take fsdp, and policy\.cpu_offload"):
        strategy_of("fsdp_cpu_offload")


def test_all_else_is_left_to_lightning() -> None:
    assert strategy_of("auto") is None and strategy_of(DDPStrategy()) is None


# ---- even work


def even_config(folder: Path, shapes: Path, num_processes: int, checkpoint: str = "tiny") -> Path:
    """Four steps of each objective on four prompts, both from the base."""
    stages = [stage("sft", 4, sft=True), stage("grpo", 4, **grpo(beta=0.04))]
    for one in stages:
        one |= {"start_from": "base", "batch_size": 4 // num_processes}
    return for_checkpoint(checkpoint, write_config(folder, shapes, stages=stages))


def run(folder: Path, shapes: Path, num_processes: int, *args: str, checkpoint: str = "tiny") -> Path:
    path = even_config(folder, shapes, num_processes, checkpoint)
    done = in_processes(folder, "fit", "--config", path, *args, num_processes=num_processes)
    assert not any(done.codes), done.said[-3000:]
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Callable[..., Path]:
    """The run of one process, by what it trains and of which policy."""

    @cache
    def made(tuning: str, checkpoint: str = "tiny") -> Path:
        return run(tmp_path_factory.mktemp(tuning), shapes, 1, *TUNING[tuning], checkpoint=checkpoint)

    return made


@OTHERS_SLOW
@pytest.mark.parametrize(
    ("strategy", "tuning", "more"),
    [
        pytest.param("ddp", "full", [], marks=SLOW),
        pytest.param("ddp", "lora", [], marks=SLOW),
        pytest.param("ddp", "tower", [], marks=SLOW),
        ("fsdp", "full", []),
        pytest.param("fsdp", "lora", OFFLOADED, marks=SLOW),
        pytest.param("fsdp", "tower", CHECKPOINTING, marks=SLOW),
    ],
)
def test_two_processes_are_one_policy(
    strategy: str,
    tuning: str,
    more: list[str],
    checkpoint: str,
    alone: Callable[..., Path],
    tmp_path: Path,
    shapes: Path,
    tolerances: Any,
) -> None:
    """The same global batches. Neither checkpointing nor offloading (on a CPU: to where they are) changes them."""
    one, two = alone(tuning, checkpoint), tmp_path
    args = ["--trainer.strategy", strategy, *CPU_2, *TUNING[tuning], *more]
    run(two, shapes, 2, *args, checkpoint=checkpoint)
    expected, found = by_stage(one), by_stage(two)
    assert expected.keys() == found.keys() == {"sft", "grpo"}
    for name, values in expected.items():
        assert len(values) == 4 and found[name] == pytest.approx(values, abs=tolerances.ddp_loss), name
    saved = [torch.load(f / "checkpoints" / "final.ckpt", weights_only=False)["state_dict"] for f in (one, two)]
    assert saved[0].keys() == saved[1].keys()
    for name, weight in saved[0].items():
        torch.testing.assert_close(saved[1][name], weight, rtol=0, atol=2e-4)
    rows = [json.loads((f / "summary.json").read_text(encoding="utf-8")) for f in (one, two)]
    assert rows[1][0]["mIoU"] == pytest.approx(rows[0][0]["mIoU"], abs=1e-4)


@SLOW
@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_processes_learn_the_same_under_mixed_precision(tuning: str, tmp_path: Path, shapes: Path) -> None:
    """A rollout casts weights, and DDP must still see their gradients afterwards."""
    args = ["--trainer.strategy", "ddp", *CPU_2, *TUNING[tuning], *BFLOAT16, *with_callback("SameEverywhere")]
    run(tmp_path, shapes, 2, *args)


@SLOW
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_train_py_starts_its_processes(
    strategy: str, alone: Callable[..., Path], tmp_path: Path, shapes: Path, tolerances: Any
) -> None:
    """As a user starts it, with one command for both."""
    done = in_new_process("fit", "--config", even_config(tmp_path, shapes, 2), "--trainer.strategy", strategy, *CPU_2)
    assert done.codes == [0], done.said[-3000:]
    expected, found = by_stage(alone("full")), by_stage(tmp_path)
    assert len(found["grpo"]) == 4 and found["grpo"] == pytest.approx(expected["grpo"], abs=tolerances.ddp_loss)


@SLOW
def test_shards_in_float32_compute_in_bfloat16(alone: Callable[..., Path], tmp_path: Path, shapes: Path) -> None:
    """Losses of SFT within 1 % (8 bits are good to 0.4 %; 0.2 % seen); GRPO answers otherwise, with a finite loss."""
    run(tmp_path, shapes, 2, "--trainer.strategy", "fsdp", *CPU_2, *BFLOAT16)
    expected, found = by_stage(alone("full")), by_stage(tmp_path)
    assert found["sft"] == pytest.approx(expected["sft"], rel=0.01) and found["sft"] != expected["sft"]
    assert len(found["grpo"]) == 4 and all(map(math.isfinite, found["grpo"]))
    saved = torch.load(tmp_path / "checkpoints" / "final.ckpt", weights_only=False)["state_dict"]
    assert {weight.dtype for weight in saved.values()} == {torch.float32}


# ---- uneven work

BAD = {f"text{number}.mp4" for number in range(4)}


@pytest.fixture(scope="module")
def partly_bad(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Path:
    """The rendered shapes, and four samples more to train on, whose videos are texts."""
    folder = tmp_path_factory.mktemp("partly_bad")
    shutil.copytree(shapes, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("cache"))
    samples = [json.loads(line) for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    for name in sorted(BAD):
        (folder / "videos" / name).write_text("no video\n" * 20, encoding="utf-8")
        samples.append({**samples[0], "id": name, "video": name})
    lines = "".join(json.dumps(sample) + "\n" for sample in samples)
    (folder / "train.jsonl").write_text(lines, encoding="utf-8")
    return folder


def uneven_stages(num_processes: int) -> list[dict[str, Any]]:
    """Each from the base, so that one that differs changes nothing in the others."""
    halves = {"tvg": 0.5, "verb_completion": 0.5}
    varied = {"max_new_tokens": 70, "temperature": 1.5}
    stages = [
        stage("tasks", 4, **grpo(), mixture=halves),
        stage("short", 2, **grpo(beta=0.04, generation=varied), mixture=halves),
        stage("minibatches", 4, **grpo(num_minibatches=2, num_iterations=2, resampling_rounds=1)),
        stage("skip", 3, sft=True),
        stage("stop", 3, sft=True),
    ]
    for one, nonfinite in zip(stages, ["stop", "stop", "stop", "skip", "stop"], strict=True):
        one |= {"start_from": "base", "batch_size": 2 // num_processes}
        one["optimizer"] |= {"nonfinite": nonfinite}
    return stages


def uneven_run(folder: Path, data: Path, num_processes: int, *args: str) -> str:
    """What it says of its end: the batch of the last stage whose gradient is not finite."""
    path = write_config(folder, data, stages=uneven_stages(num_processes))
    poisons = [with_callback("PoisonLast", batch=batch) for batch in (11, 14)]
    args = (*args, *poisons[0], *poisons[1], *with_callback("ShortLast", stage="short"))
    done = in_processes(folder, "fit", "--config", path, *args, num_processes=num_processes)
    assert done.codes == [1] * num_processes, "each by itself, without waiting for the other"
    return done.said


@pytest.fixture(scope="module")
def uneven_alone(tmp_path_factory: pytest.TempPathFactory, partly_bad: Path) -> dict[str, list[float]]:
    """Losses of one process, by stage."""
    folder = tmp_path_factory.mktemp("alone")
    uneven_run(folder, partly_bad, 1)
    return by_stage(folder)


def traces_of(folder: Path, stage_name: str, rank: int) -> list[Trace]:
    return list(read_traces(folder / "traces" / f"{stage_name}-rank{rank}.jsonl"))


@pytest.fixture(scope="module", params=[pytest.param("ddp", marks=SLOW), pytest.param("fsdp", marks=SLOW)])
def uneven(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, partly_bad: Path) -> Path:
    """The run of two processes, and in ``said.txt`` its last words."""
    folder = tmp_path_factory.mktemp(request.param)
    said = uneven_run(folder, partly_bad, 2, "--trainer.strategy", request.param, *CPU_2)
    (folder / "said.txt").write_text(said, encoding="utf-8")
    return folder


def test_a_gradient_that_is_not_finite_on_one_process_is_skipped_or_stops_all(
    uneven: Path, uneven_alone: dict[str, list[float]], tolerances: Any
) -> None:
    found, said = by_stage(uneven), (uneven / "said.txt").read_text(encoding="utf-8")
    for name, num_steps in (("skip", 3), ("stop", 1)):
        assert len(found[name]) == num_steps, said[-3000:]
        assert found[name] == pytest.approx(uneven_alone[name], abs=tolerances.ddp_loss), name
    assert found["skip"][2] != found["skip"][1]
    assert "step 11: the gradient is not finite, update skipped" in said
    assert "ValueError: step 14: the gradient is not finite" in said


def test_the_log_says_what_fsdp_means_here(uneven: Path) -> None:
    is_sharded = uneven.name.startswith("fsdp")
    assert ("FSDP2 over all processes" in (uneven / "said.txt").read_text(encoding="utf-8")) == is_sharded


def test_tasks_of_their_own_and_a_bad_video_change_no_loss(
    uneven: Path, uneven_alone: dict[str, list[float]], tolerances: Any
) -> None:
    asked = [
        [{t.task for t in traces_of(uneven, "tasks", rank) if t.step == step} for rank in (0, 1)] for step in range(4)
    ]
    assert any(first != second for first, second in asked), "each step asked both processes the same task"
    met = {Path(video.path).name for video in read_bad_videos(uneven / "bad_videos.jsonl")}
    assert met and met <= BAD
    assert by_stage(uneven)["tasks"] == pytest.approx(uneven_alone["tasks"], abs=tolerances.ddp_loss)


def test_long_answers_wait_for_no_short_ones_and_one_process_may_learn_nothing(uneven: Path) -> None:
    long, short = (traces_of(uneven, "short", rank) for rank in (0, 1))
    assert max(t.num_tokens for t in long) >= 10 and {t.num_tokens for t in short} == {1}
    assert any(t.advantage for t in long) and not any(t.advantage for t in short)
    assert len(by_stage(uneven)["short"]) == 2


def test_several_updates_a_rollout_with_groups_of_other_processes_replaced(uneven: Path) -> None:
    found = by_stage(uneven)["minibatches"]
    assert len(found) == 4 and all(map(math.isfinite, found)) and len(set(found)) == 4
    groups = [{t.group for t in traces_of(uneven, "minibatches", rank)} for rank in (0, 1)]
    assert min(map(len, groups)) >= 2 and groups[0].isdisjoint(groups[1])
