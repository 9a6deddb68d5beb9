"""FSDP2 over two processes: the losses, checkpoints and resumed runs of one."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.doubles import losses
from tests.test_train import ROOT, grpo, in_new_process, stage, write_config

SHARDED = ["--config", ROOT / "configs" / "strategy" / "fsdp_cpu_2.yaml"]


def run(folder: Path, shapes: Path, stages: list[dict[str, Any]], *args: str | Path) -> None:
    done = in_new_process("fit", "--config", write_config(folder, shapes, stages=stages), *args)
    assert done.returncode == 0, done.stderr[-3000:]


def stages_of(objective: str, batch_size: int, steps: int = 4) -> list[dict[str, Any]]:
    body = {"grpo": grpo(beta=0.04)} if objective == "grpo" else {"sft": True}
    return [{**stage("only", steps, **body), "batch_size": batch_size}]


@pytest.mark.parametrize(("objective", "tuning"), [("grpo", "full"), ("sft", "full"), ("grpo", "lora")])
def test_two_shards_are_one_policy(objective: str, tuning: str, tmp_path: Path, shapes: Path, tolerances: Any) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    run(one, shapes, stages_of(objective, 4), "--tuning", tuning)
    run(two, shapes, stages_of(objective, 2), *SHARDED, "--tuning", tuning)
    expected = [loss for _, _, loss in losses(one / "losses.jsonl")]
    assert len(expected) == 4
    assert [loss for _, _, loss in losses(two / "losses.jsonl")] == pytest.approx(expected, abs=tolerances.ddp_loss)
    saved = [torch.load(f / "checkpoints" / "final.ckpt", weights_only=False)["state_dict"] for f in (one, two)]
    assert saved[0].keys() == saved[1].keys()
    for name, weight in saved[0].items():
        torch.testing.assert_close(saved[1][name], weight, rtol=0, atol=2e-4)
    rows = [json.loads((f / "summary.json").read_text(encoding="utf-8")) for f in (one, two)]
    assert rows[1][0]["mIoU"] == pytest.approx(rows[0][0]["mIoU"], abs=1e-4)


@pytest.mark.parametrize("sharded_first", [True, False])
def test_a_run_goes_on_with_another_number_of_processes(
    sharded_first: bool, tmp_path: Path, shapes: Path, tolerances: Any
) -> None:
    whole = tmp_path / "whole"
    run(whole, shapes, stages_of("grpo", 4, 5))
    layouts = [(2, SHARDED), (4, [])] if sharded_first else [(4, []), (2, SHARDED)]
    folder = tmp_path / "changed"
    for turn, (batch_size, strategy) in enumerate(layouts):
        kill = {"class_path": "tests.doubles.KillAt", "init_args": {"batch": 3}}
        resume = [] if turn == 0 else ["--ckpt_path", folder / "checkpoints" / "last.ckpt"]
        config = write_config(folder, shapes, stages=stages_of("grpo", batch_size, 5))
        callbacks = [] if turn else ["--trainer.callbacks+", json.dumps(kill)]
        done = in_new_process("fit", "--config", config, *strategy, *callbacks, *resume)
        assert (done.returncode == 0) == bool(turn), done.stderr[-3000:]
    expected = [loss for _, _, loss in losses(whole / "losses.jsonl")]
    found = losses(folder / "losses.jsonl")
    assert [batch for _, batch, _ in found][-3:] == [2, 3, 4]
    assert [loss for _, _, loss in found][-3:] == pytest.approx(expected[-3:], abs=tolerances.ddp_loss)


def test_qlora_cannot_be_sharded(tmp_path: Path, shapes: Path) -> None:
    config = write_config(tmp_path, shapes, stages=stages_of("sft", 2))
    done = in_new_process("fit", "--config", config, *SHARDED, "--tuning", "qlora")
    assert done.returncode != 0 and "tuning qlora cannot be sharded" in done.stderr
