"""FSDP2: runs go on with and without shards; what cannot be sharded is refused."""

from pathlib import Path
from typing import Any

import pytest

import train
from tests.doubles import losses
from tests.runs import ROOT, grpo, in_processes, stage, with_callback, write_config
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.policy.sharding import check_sharding

SHARDED: list[str | Path] = ["--config", ROOT / "configs" / "strategy" / "fsdp_cpu_2.yaml"]


def stages_of(batch_size: int) -> list[dict[str, Any]]:
    return [{**stage("only", 5, **grpo(beta=0.04)), "batch_size": batch_size}]


@pytest.mark.slow
@pytest.mark.parametrize("sharded_first", [True, False])
def test_a_run_goes_on_with_another_number_of_processes(
    sharded_first: bool, tmp_path: Path, shapes: Path, tolerances: Any
) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "changed"
    done = in_processes(whole, "fit", "--config", write_config(whole, shapes, stages=stages_of(4)))
    assert done.codes == [0], done.said[-3000:]
    last = folder / "checkpoints" / "last.ckpt"
    for turn, num_processes in enumerate((2, 1) if sharded_first else (1, 2)):
        config = write_config(folder, shapes, stages=stages_of(4 // num_processes))
        args = ["fit", "--config", config, *(SHARDED if num_processes == 2 else [])]
        args += with_callback("KillAt", batch=3) if turn == 0 else ["--ckpt_path", last]
        done = in_processes(folder, *args, num_processes=num_processes)
        assert not any(done.codes) if turn else all(done.codes), done.said[-3000:]
    expected = [loss for _, _, loss in losses(whole / "losses.jsonl")]
    found = losses(folder / "losses.jsonl")
    assert [batch for _, batch, _ in found][-3:] == [2, 3, 4]
    assert [loss for _, _, loss in found][-3:] == pytest.approx(expected[-3:], abs=tolerances.ddp_loss)


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
