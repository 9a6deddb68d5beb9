"""GRPO's variants in whole runs: several updates a rollout, resumed in its middle, and all of them together."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import train
from tests.doubles import losses
from tests.runs import ROOT, WITHOUT_VALIDATION, changed, grpo, in_processes, stage, with_callback, write_config
from tvg_lightning.modules.grpo import GRPOObjective
from tvg_lightning.modules.grpo_settings import GRPOSettings
from tvg_lightning.modules.step import StepContext
from tvg_lightning.rewards.total import Rewards
from tvg_lightning.rewards.weights import RewardWeights
from tvg_lightning.schema import AnswerFormat, Method
from tvg_lightning.traces import read_traces

TAR_TVG = AnswerFormat(Method.TAR_TVG)

SEVERAL = {"num_minibatches": 2, "num_iterations": 2, "beta": 0.04, "generation": {"max_new_tokens": 24}}


def traces_of(folder: Path) -> list[tuple[int, str, float]]:
    return [(t.step, t.text, t.advantage) for t in read_traces(folder / "traces" / "only-rank0.jsonl")]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Path:
    folder = tmp_path_factory.mktemp("several")
    stages = [stage("only", 8, **grpo(**SEVERAL))]
    train.main(["fit", "--config", str(write_config(folder, shapes, stages=stages))])
    return folder


def test_four_updates_share_a_rollout(whole_run: Path) -> None:
    """2 minibatches of 2 prompts, gone through twice: a rollout of 4 prompts x 3 completions every 4 updates."""
    steps = [step for step, _, _ in traces_of(whole_run)]
    assert steps == [0] * 12 + [4] * 12
    assert len(losses(whole_run / "losses.jsonl")) == 8


@pytest.mark.parametrize("killed_after", [pytest.param(2, marks=pytest.mark.slow), 5])
def test_a_power_cut_between_the_updates_of_a_rollout_costs_nothing(
    killed_after: int, whole_run: Path, tmp_path: Path, shapes: Path
) -> None:
    path = write_config(tmp_path, shapes, stages=[stage("only", 8, **grpo(**SEVERAL))])
    with changed(path) as config:
        config["step_checkpoint"]["every_n_steps"] = 1
    assert in_processes(tmp_path, "fit", "--config", path, *with_callback("KillAt", batch=killed_after)).codes == [-9]
    resumed = in_processes(tmp_path, "fit", "--config", path, "--ckpt_path", tmp_path / "checkpoints" / "last.ckpt")
    assert resumed.codes == [0], resumed.said
    whole, found = losses(whole_run / "losses.jsonl"), losses(tmp_path / "losses.jsonl")
    after = found[killed_after + 1 :]
    assert after and after == whole[after[0][1] :]
    assert traces_of(tmp_path) == traces_of(whole_run)


def test_between_two_updates_of_a_rollout_the_number_of_processes_is_kept() -> None:
    rewards = Rewards(TAR_TVG, RewardWeights(format=1.0))
    objective = GRPOObjective(GRPOSettings(num_iterations=2, beta=0.0), rewards)
    objective.load_state_dict({"reference": None, "rollouts": [{}, {}]})
    nothing: Any = None
    with pytest.raises(ValueError, match="by 2 processes, and each has its own prompts: go on with as many, not 1"):
        objective.step(nothing, [], StepContext(0, "only", 3, 0), nothing)


VARIANTS: dict[str, dict[str, Any]] = {
    "gspo": {"ratio_level": "sequence", "reduction": "sequence_mean", "clip_low": 3e-4, "clip_high": 4e-4},
    "dr_grpo": {"scale_rewards": "none", "reduction": "constant"},
    "dapo": {"clip_high": 0.28, "mask_truncated": True, "resampling_rounds": 2, "num_iterations": 2},
    "batch_k1": {"scale_rewards": "batch", "kl": "k1", "beta": 0.1, "reference": "base"},
    "overlong": {
        "length": {"max_tokens": 24, "cache_tokens": 23},
        "reward": {"format": 1.0, "soft_iou": 1.0, "length": 1.0},
    },
}


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Path:
    """The folder of one run, each variant a stage of it that starts from the base."""
    folder = tmp_path_factory.mktemp("variants")
    stages = [
        stage(name, 2, start_from="base", **grpo(**{"generation": {"max_new_tokens": 24}, **changes}))
        for name, changes in VARIANTS.items()
    ]
    train.main(["fit", "--config", str(write_config(folder, shapes, stages=stages)), *WITHOUT_VALIDATION])
    return folder


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_run_and_learn_a_finite_loss(name: str, variants: Path) -> None:
    found = [loss for stage_name, _, loss in losses(variants / "losses.jsonl") if stage_name == name]
    assert len(found) == 2 and all(abs(loss) < 100 for loss in found)
    if name == "overlong":
        traces = list(read_traces(variants / "traces" / "overlong-rank0.jsonl"))
        assert traces and all(t.rewards["length"] == pytest.approx((1 - t.num_tokens) / 23) for t in traces)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"num_iterations": 0}, "num_iterations"),
        ({"resampling_rounds": -1}, "resampling_rounds"),
        ({"advantage_eps": 0.0}, "advantage_eps"),
        ({"ratio_level": "word"}, "ratio_level"),
        ({"reward": {"length": 1.0, "format": 1.0}, "length": {"max_tokens": 900}}, "length"),
    ],
)
def test_a_bad_variant_is_refused_by_name(
    change: dict[str, Any], complaint: str, tmp_path: Path, shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = [stage("only", 1, **grpo(**change))]
    with pytest.raises((SystemExit, ValueError)) as refused:
        train.main(["fit", "--config", str(write_config(tmp_path, shapes, stages=stages))])
    assert complaint in str(refused.value) + capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_share_the_deviation_of_a_batch_and_their_drawn_items(
    tmp_path: Path, shapes: Path, tolerances: Any
) -> None:
    found = []
    for num_processes in (1, 2):
        folder = tmp_path / str(num_processes)
        stages = [stage("only", 2, **grpo(scale_rewards="batch", num_iterations=2))]
        stages[0]["batch_size"] = 4 // num_processes
        run = in_processes(
            folder, "fit", "--config", write_config(folder, shapes, stages=stages),
            "--trainer.devices", str(num_processes), "--trainer.strategy", "ddp", num_processes=num_processes,
        )  # fmt: skip
        assert not any(run.codes), run.said
        found.append([loss for _, _, loss in losses(folder / "losses.jsonl")])
    assert len(found[0]) == 2 and found[1] == pytest.approx(found[0], abs=tolerances.ddp_loss)


def test_online_difficulty_in_a_fit(tmp_path: Path, shapes: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Twelve samples, six batches a pass: the seventh batch draws from what the first six left."""
    stages = [stage("only", 8, **grpo(generation={"max_new_tokens": 70}))]
    config = write_config(tmp_path, shapes, stages=stages)
    args = ["--data.difficulty", json.dumps({"min_iou": 0.0, "max_iou": 1.0})]
    with caplog.at_level("INFO", logger="tvg_lightning.data.difficulty"):
        train.main(["fit", "--config", str(config), *WITHOUT_VALIDATION, *args])
    traces = list(read_traces(tmp_path / "traces" / "only-rank0.jsonl"))
    assert "difficulty:" in caplog.text
    first = [t for t in traces if t.step < 6]
    mean_iou = {
        name: sum(t.answer_iou or 0.0 for t in first if t.sample_id == name) / 3
        for name in {t.sample_id for t in first}
    }
    kept = {name for name, iou in mean_iou.items() if iou > 0}
    later = {t.sample_id for t in traces if t.step >= 6}
    assert later <= (kept if len(kept) >= 2 else set(mean_iou))


def counting_frames(folder: Path, shapes: Path, batch_size: int = 2) -> Path:
    """The config of a run in which a bonus for dependence on the frames is all there is beside the format."""
    more = grpo(generation={"max_new_tokens": 16}, reward={"format": 1.0, "frame_dependence": 0.5})
    more |= {"frame_dependence": {"min_iou": 0.0}, "mixture": {"tvg": 0.7, "action_recognition": 0.3}}
    path = write_config(folder, shapes, stages=[{**stage("only", 3, **more), "batch_size": batch_size}])
    with changed(path) as config:
        config["model"]["init_args"]["evaluation"]["frame_dependence"] = True
        config["data"]["frames"]["max_frames"] = 24
        config["step_checkpoint"]["every_n_steps"] = 1
    return path


@pytest.fixture(scope="module")
def frames_counted(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Path:
    """The folder of such a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("frames_counted")
    train.main(["fit", "--config", str(counting_frames(folder, shapes))])
    return folder


def dependences(folder: Path, rank: int = 0) -> list[tuple[int, str, int, str, float | None]]:
    traces = read_traces(folder / "traces" / f"only-rank{rank}.jsonl")
    return [(t.step, t.sample_id, t.rollout, t.text, t.frame_dependence) for t in traces]


@pytest.mark.slow
def test_a_run_that_goes_on_shuffles_the_same_frames(frames_counted: Path, tmp_path: Path, shapes: Path) -> None:
    args: list[str | Path] = ["fit", "--config", counting_frames(tmp_path, shapes), *WITHOUT_VALIDATION]
    assert in_processes(tmp_path, *args, *with_callback("KillAt", batch=1)).codes == [-9]
    resumed = in_processes(tmp_path, *args, "--ckpt_path", tmp_path / "checkpoints" / "last.ckpt")
    assert resumed.codes == [0], resumed.said
    assert dependences(tmp_path) == dependences(frames_counted)


@pytest.mark.slow
def test_processes_with_shards_measure_the_same(
    frames_counted: Path, tmp_path: Path, shapes: Path, tolerances: Any
) -> None:
    """One prompt each, now and then an inversion beside a grounding: both make as many passes, or wait for ever."""
    args: list[str | Path] = ["fit", "--config", counting_frames(tmp_path, shapes, batch_size=1)]
    sharded = ["--config", ROOT / "configs" / "strategy" / "fsdp_cpu_2.yaml"]
    run = in_processes(tmp_path, *args, *sharded, num_processes=2)
    assert run.codes == [0, 0], run.said[-3000:]
    found = sorted([*dependences(tmp_path), *dependences(tmp_path, rank=1)], key=lambda one: one[:3])
    whole = sorted(dependences(frames_counted), key=lambda one: one[:3])
    assert [one[:3] for one in found] == [one[:3] for one in whole]
    for ours, other in zip(found, whole, strict=True):
        assert (ours[4] is None) == (other[4] is None)
        if ours[0] == 0:  # before the first update, whose sums are taken in another order
            assert ours[3] == other[3] and ours[4] == pytest.approx(other[4], abs=10 * tolerances.logp)


def test_completions_that_depend_on_the_frames_earn_the_bonus(frames_counted: Path) -> None:
    """Those above their group's mean, of grounding prompts alone."""
    traces = list(read_traces(frames_counted / "traces" / "only-rank0.jsonl"))
    grounded = [t for t in traces if t.task == "tvg"]
    assert len(traces) == 18 and grounded and len(grounded) < 18
    assert all(t.frame_dependence is None and "frame_dependence" not in t.rewards for t in traces if t not in grounded)
    earned = []
    for trace in grounded:
        group = [t.frame_dependence for t in grounded if (t.step, t.group) == (trace.step, trace.group)]
        assert trace.frame_dependence is not None and None not in group
        is_above = trace.frame_dependence > sum(d or 0.0 for d in group) / len(group)
        assert trace.rewards["frame_dependence"] == float(is_above)
        assert trace.reward == pytest.approx(trace.rewards["format"] + 0.5 * is_above)
        earned.append(is_above)
    assert any(earned) and not all(earned)


def test_dependence_on_the_frames_is_in_the_summary_of_a_run(frames_counted: Path) -> None:
    rows = json.loads((frames_counted / "summary.json").read_text(encoding="utf-8"))
    assert [row["stage"] for row in rows] == ["base", "only"]
    assert all(isinstance(row["frame_dependence"], float) for row in rows)


def test_a_bonus_for_frames_that_are_too_few_to_shuffle_is_refused(tmp_path: Path, shapes: Path) -> None:
    more = grpo(reward={"frame_dependence": 1.0})
    path = write_config(tmp_path, shapes, stages=[stage("only", 1, **more)])
    words = r'"only": reward\.frame_dependence: with data\.frames\.fps 0\.1 a pair of frames comes every 20 s'
    with pytest.raises(ValueError, match=words):
        train.main(["fit", "--config", str(path), "--data.frames.fps", "0.1"])


def poisoned(folder: Path, shapes: Path, nonfinite: str) -> list[str]:
    """A run of three steps with a gradient that is not a number in the second."""
    stages = [stage("only", 3, **grpo(generation={"max_new_tokens": 12}))]
    stages[0]["optimizer"] = {"lr": 1e-3, "nonfinite": nonfinite}
    path = str(write_config(folder, shapes, stages=stages))
    return ["fit", "--config", path, *WITHOUT_VALIDATION, *with_callback("Poison", batch=1)]


def test_a_gradient_that_is_no_number_stops_the_run_with_its_traces_on_disk(tmp_path: Path, shapes: Path) -> None:
    with pytest.raises(ValueError, match="step 1: the gradient is not finite") as stopped:
        train.main(poisoned(tmp_path, shapes, "stop"))
    traces = list(read_traces(tmp_path / "traces" / "only-rank0.jsonl"))
    of_the_step = {t.sample_id for t in traces if t.step == 1}
    assert len(traces) == 12 and of_the_step and all(name in str(stopped.value) for name in of_the_step)


def test_or_skips_the_update(tmp_path: Path, shapes: Path, caplog: pytest.LogCaptureFixture) -> None:
    train.main(poisoned(tmp_path, shapes, "skip"))
    assert "step 1: the gradient is not finite, update skipped" in caplog.text
    assert len(losses(tmp_path / "losses.jsonl")) == 3
    saved = torch.load(tmp_path / "checkpoints" / "final.ckpt", weights_only=False)["state_dict"]
    assert all(bool(value.isfinite().all()) for value in saved.values())


def resumed_equals_whole(folder: Path, config: dict[str, Any], kill_at: int, num_processes: int = 1) -> None:
    """The same run twice, once with a power cut: the losses after it are those of the other."""
    found = []
    for name in ("whole", "cut"):
        home = folder / name
        home.mkdir()
        config["trainer"]["default_root_dir"] = str(home)
        config["trainer"]["callbacks"][0]["init_args"]["file"] = str(home / "losses.jsonl")
        path = home / "config_in.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        args: list[str | Path] = ["fit", "--config", path]
        if name == "cut":
            done = in_processes(home, *args, *with_callback("KillAt", batch=kill_at), num_processes=num_processes)
            assert all(done.codes), done.said[-3000:]
            args += ["--ckpt_path", home / "checkpoints" / "last.ckpt"]
        done = in_processes(home, *args, num_processes=num_processes)
        assert not any(done.codes), done.said[-3000:]
        found.append(losses(home / "losses.jsonl"))
    whole, cut = found
    after = cut[kill_at + 1 :]
    assert after and after == whole[after[0][1] :]


@pytest.mark.parametrize("kind", ["grpo", "sft"])
def test_a_single_stage_goes_on_where_it_was(kind: str, tmp_path: Path, shapes: Path) -> None:
    """Two epochs of six batches, cut in the second; with online difficulty, whose IoUs must not be lost."""
    config = yaml.safe_load(write_config(tmp_path, shapes).read_text(encoding="utf-8"))
    config["step_checkpoint"]["every_n_steps"] = 1
    config["trainer"]["max_epochs"] = 2
    more = {**grpo(generation={"max_new_tokens": 24}, beta=0.04)} if kind == "grpo" else {}
    config["model"] = {
        "class_path": f"tvg_lightning.modules.{kind}.{kind.upper()}Module",
        "init_args": {
            "policy": {"checkpoint": "tiny"}, "evaluation": {"max_new_tokens": 12}, **more,
            "optimizer": {"lr": 1e-3, "schedule": "linear"},
        },
    }  # fmt: skip
    config["data"] |= {"batch_size": 2, "val": []}
    if kind == "grpo":
        config["data"]["difficulty"] = {"min_iou": 0.0, "max_iou": 1.0}
    resumed_equals_whole(tmp_path, config, kill_at=8)


@pytest.mark.slow
def test_two_processes_go_on_within_a_rollout(tmp_path: Path, shapes: Path) -> None:
    """Each has its own prompts, and the IoUs of both decide what the next pass draws from."""
    stages = [stage("only", 8, **grpo(**SEVERAL))]
    stages[0]["batch_size"] = 1
    config = yaml.safe_load(write_config(tmp_path, shapes, stages=stages).read_text(encoding="utf-8"))
    config["step_checkpoint"]["every_n_steps"] = 1
    config["data"]["difficulty"] = {"min_iou": 0.0, "max_iou": 1.0}
    config["trainer"] |= {"devices": 2, "strategy": "ddp"}
    resumed_equals_whole(tmp_path, config, kill_at=5, num_processes=2)
