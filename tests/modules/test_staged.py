"""Several stages on one policy: what each starts from, what it is measured against, and the run of all."""

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn

import train
from tests.builders import GOOD_TRACE, write_traces
from tests.doubles import losses
from tests.families import OTHERS_SLOW
from tests.runs import grpo, stage, write_config
from tvg_lightning.datamodule import TVGDataModule
from tvg_lightning.modules import staged
from tvg_lightning.modules.grpo_settings import GRPOSettings
from tvg_lightning.modules.settings import StageSettings
from tvg_lightning.modules.staged import StagedModule
from tvg_lightning.modules.step import StepContext
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.rewards.weights import RewardWeights
from tvg_lightning.traces import num_traces

STAGES = ["explore", "imitate", "refine"]


@OTHERS_SLOW
def test_three_stages_in_one_fit(family_run: Path) -> None:
    rows = json.loads((family_run / "summary.json").read_text(encoding="utf-8"))
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
    assert [name for name, _, _ in losses(family_run / "losses.jsonl")] == [s for s in STAGES for _ in range(6)]
    assert (family_run / "checkpoints" / "final.ckpt").is_file()


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


def test_a_step_is_taken_in_the_stage_that_runs() -> None:
    module = StagedModule(PolicySettings(), [StageSettings(name, sft=True, steps=1) for name in ("one", "two")], seed=7)
    loop = SimpleNamespace(total_batch_idx=12)
    module._trainer = SimpleNamespace(fit_loop=loop, current_epoch=1, world_size=2)  # type: ignore[assignment]
    assert module.step_context() == StepContext(seed=7, stage="one", step=12, epoch=1, world_size=2)
    module.stage_index = 1
    assert module.step_context().stage == "two"


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


def test_the_targets_are_counted_once_for_all_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The schedule asks for the stage's length at every step, and some have 30,000 targets."""
    counts: list[int] = []

    def counted(file: Path) -> int:
        counts.append(num_traces(file))
        return counts[-1]

    monkeypatch.setattr(staged, "num_traces", counted)
    file = write_traces(tmp_path / "targets.jsonl", [GOOD_TRACE] * 5)
    module = StagedModule(PolicySettings(), [StageSettings("imitate", sft=True, epochs=2, batch_size=2)])
    data = TVGDataModule(str(tmp_path), targets=str(file))
    module._trainer = SimpleNamespace(accumulate_grad_batches=1, world_size=1, datamodule=data)  # type: ignore[assignment]
    assert [module.num_steps() for _ in range(3)] == [5, 5, 5] and counts == [5]
    file.unlink()
    write_traces(file, [GOOD_TRACE] * 3)
    assert module.num_steps() == 3 and counts == [5, 3], "a file that was written anew"


def loading(fn: TrainerFn, objective: dict[str, Any] | None) -> StagedModule:
    """A GRPO stage with a KL, after a checkpoint of a stage of its name was given to it."""
    kept = StageSettings("refine", grpo=GRPOSettings(beta=0.1), reward=RewardWeights(format=1.0), steps=1)
    module = StagedModule(PolicySettings(), [kept])
    module.configure_model()
    module._trainer = SimpleNamespace(state=SimpleNamespace(fn=fn))  # type: ignore[assignment]
    saved = {"name": "refine", "index": 0, "is_done": False, "is_at_last_batch": False, "objective": objective}
    about = {"policy": asdict(module.policy_settings), "module": "StagedModule", "optimizer_states": []}
    module.on_load_checkpoint({**about, "stage": saved})
    return module


@pytest.mark.parametrize("objective", [None, {"reference": None, "rollouts": None}])
def test_an_evaluation_takes_the_weights_alone(objective: dict[str, Any] | None) -> None:
    """Of an SFT stage, or of one without a KL: only training asks for what the stage here needs."""
    assert loading(TrainerFn.VALIDATING, objective).stage_index == 0
    with pytest.raises(ValueError, match=r"grpo\.beta is 0\.1|\"refine\" was one of SFT"):
        loading(TrainerFn.FITTING, objective)


def test_a_checkpoint_rebuilds_its_module(staged_run: Path) -> None:
    module = StagedModule.load_from_checkpoint(staged_run / "checkpoints" / "final.ckpt", weights_only=False)
    assert [s.name for s in module.stages] == STAGES and module.stage_index == 2


def test_a_later_stage_without_targets_is_refused_before_a_weight_is_loaded(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(tmp_path, shapes, stages=[stage("explore", 2, **grpo()), stage("imitate", 2, sft=True)])
    monkeypatch.setattr("tvg_lightning.modules.grounding.PolicyBackbone", None)
    with pytest.raises(ValueError, match=r"data\.targets: SFT needs a file of traces"):
        train.main(["fit", "--config", str(config), "--data.targets", "null"])
