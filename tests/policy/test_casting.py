"""``trainer.precision: bf16-mixed``, as every recipe has it: float32 weights, products in bfloat16."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch.loggers import CSVLogger

import train
from tests.doubles import losses
from tests.test_train import grpo, stage, write_config
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.settings import PolicySettings, Tuning


@pytest.mark.parametrize(("tuning", "dtype"), [("full", "float32"), ("lora", "bfloat16")])
def test_two_objectives(
    tuning: Tuning, dtype: Any, tmp_path: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The KL to the reference is 0 before the first update and not after it: the reference keeps its own weights."""
    stages = [stage("grpo", 3, **grpo(beta=0.04, num_generations=2)), stage("sft", 2, sft=True)]
    path = write_config(tmp_path, shapes, stages=stages)
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["trainer"]["logger"] = {
        "class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(tmp_path)}
    }  # fmt: skip
    config["model"]["init_args"]["policy"] |= {"dtype": dtype}
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    kls: list[float] = []

    def log_metrics(self: CSVLogger, metrics: dict[str, float], step: int | None = None) -> None:
        kls.extend(metrics[name] for name in metrics if name == "train/kl")

    monkeypatch.setattr(CSVLogger, "log_metrics", log_metrics)
    train.main(["fit", "--config", str(path), "--tuning", tuning, "--trainer.precision", "bf16-mixed"])
    assert kls[0] == pytest.approx(0, abs=1e-6) and all(kl > 1e-6 for kl in kls[1:]) and len(kls) == 3
    assert all(math.isfinite(loss) for _, _, loss in losses(tmp_path / "losses.jsonl"))
    base = PolicyBackbone(PolicySettings(tuning=tuning, dtype=dtype))
    saved = torch.load(tmp_path / "checkpoints" / "final.ckpt", weights_only=True)["state_dict"]
    for name, weight in base.named_parameters():
        if weight.requires_grad:
            assert saved[f"policy.{name}"].dtype == torch.float32, name
            assert not torch.equal(saved[f"policy.{name}"], weight), f"{name} had no gradient"
