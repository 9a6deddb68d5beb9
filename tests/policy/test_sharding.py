"""FSDP2: runs go on with and without shards; what cannot be sharded is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

import train
from tests.doubles import losses
from tests.test_train import ROOT, grpo, in_new_process, stage, write_config
from tvg_lightning.modules.grpo import GRPOObjective
from tvg_lightning.modules.settings import GRPOSettings
from tvg_lightning.modules.step import StepContext
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.policy.sharding import check_sharding
from tvg_lightning.rewards.total import Rewards
from tvg_lightning.rewards.weights import RewardWeights
from tvg_lightning.schema import Method

SHARDED = ["--config", ROOT / "configs" / "strategy" / "fsdp_cpu_2.yaml"]


def run(folder: Path, shapes: Path, stages: list[dict[str, Any]], *args: str | Path) -> None:
    done = in_new_process("fit", "--config", write_config(folder, shapes, stages=stages), *args)
    assert done.returncode == 0, done.stderr[-3000:]


def stages_of(batch_size: int) -> list[dict[str, Any]]:
    return [{**stage("only", 5, **grpo(beta=0.04)), "batch_size": batch_size}]


@pytest.mark.parametrize("sharded_first", [True, False])
def test_a_run_goes_on_with_another_number_of_processes(
    sharded_first: bool, tmp_path: Path, shapes: Path, tolerances: Any
) -> None:
    whole = tmp_path / "whole"
    run(whole, shapes, stages_of(4))
    layouts = [(2, SHARDED), (4, [])] if sharded_first else [(4, []), (2, SHARDED)]
    folder = tmp_path / "changed"
    for turn, (batch_size, strategy) in enumerate(layouts):
        kill = {"class_path": "tests.doubles.KillAt", "init_args": {"batch": 3}}
        resume = [] if turn == 0 else ["--ckpt_path", folder / "checkpoints" / "last.ckpt"]
        config = write_config(folder, shapes, stages=stages_of(batch_size))
        callbacks = [] if turn else ["--trainer.callbacks+", json.dumps(kill)]
        done = in_new_process("fit", "--config", config, *strategy, *callbacks, *resume)
        assert (done.returncode == 0) == bool(turn), done.stderr[-3000:]
    expected = [loss for _, _, loss in losses(whole / "losses.jsonl")]
    found = losses(folder / "losses.jsonl")
    assert [batch for _, batch, _ in found][-3:] == [2, 3, 4]
    assert [loss for _, _, loss in found][-3:] == pytest.approx(expected[-3:], abs=tolerances.ddp_loss)


def test_between_two_updates_of_a_rollout_the_number_of_processes_is_kept() -> None:
    rewards = Rewards(Method.TAR_TVG, RewardWeights(format=1.0))
    objective = GRPOObjective(GRPOSettings(num_iterations=2), rewards)
    objective.load_state_dict({"reference": None, "rollouts": [{}, {}]})
    nothing: Any = None
    with pytest.raises(ValueError, match="by 2 processes, and each has its own prompts: go on with as many, not 1"):
        objective.step(nothing, [], StepContext(0, "only", 3, 0), nothing)


@pytest.mark.parametrize(
    ("policy", "optimizer", "is_sharded", "complaint"),
    [
        (PolicySettings(tuning="qlora"), "adamw", True, "tuning qlora cannot be sharded"),
        (PolicySettings(), "adamw_8bit", True, "optimizer.name adamw_8bit cannot be sharded"),
        (PolicySettings(cpu_offload=True), "adamw", False, "policy.cpu_offload is for shards"),
    ],
)
def test_what_cannot_be_is_refused(policy: PolicySettings, optimizer: str, is_sharded: bool, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        check_sharding(policy, ["adamw", optimizer], is_sharded)
    check_sharding(policy, [optimizer], not is_sharded)


def test_a_fit_refuses_before_any_weight_loads(tmp_path: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tvg_lightning.modules.grounding.PolicyBackbone", None)
    config = str(write_config(tmp_path, shapes, stages=stages_of(2)))
    with pytest.raises(ValueError, match=r"policy\.cpu_offload is for shards"):
        train.main(["fit", "--config", config, "--model.init_args.policy.cpu_offload", "true"])
    with pytest.raises(ValueError, match="precision 16-true has too small a range: take bf16-mixed"):
        train.main(["fit", "--config", config, "--trainer.precision", "16-true"])
    with pytest.raises(ValueError, match=r"fsdp_cpu_offload is FSDP1: take fsdp"):
        train.main(["fit", "--config", config, "--trainer.strategy", "fsdp_cpu_offload"])
