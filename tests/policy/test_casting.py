"""``trainer.precision: bf16-mixed``, as every recipe has it: float32 weights, products in bfloat16."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

import train
from tests.doubles import losses
from tests.runs import WITHOUT_VALIDATION, changed, grpo, stage, write_config
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.casting import cast_once
from tvg_lightning.policy.settings import PolicySettings, Tuning


def test_matrices_are_cast_for_a_while_and_nothing_else(checkpoint: str) -> None:
    policy = PolicyBackbone(PolicySettings(checkpoint, tuning="lora"))
    before = {name: (p.dtype, p.data_ptr()) for name, p in policy.named_parameters()}
    with torch.autocast("cpu", torch.bfloat16), cast_once(policy) as head_VH:
        cast = {name for name, p in policy.named_parameters() if p.dtype == torch.bfloat16}
        assert head_VH.dtype == torch.bfloat16 and policy.head.dtype == torch.float32
    exact = policy.model.model.language_model.layers[0].mlp.up_proj.weight
    assert {name: (p.dtype, p.data_ptr()) for name, p in policy.named_parameters()} == before
    assert exact.dtype == torch.float32, "the same parameter, with its own numbers again"
    projections = {name for name in before if ".language_model.layers." in name and "norm" not in name}
    assert cast == projections and any("lora_" in name for name in cast)


def test_a_gradient_still_arrives_where_ddp_waits_for_it(checkpoint: str) -> None:
    """DDP hangs its hooks on the node that gathers a parameter's gradient; one that changed type has another node."""
    policy = PolicyBackbone(PolicySettings(checkpoint, tuning="lora"))

    def nodes() -> list[object]:
        trained = [weight for weight in policy.parameters() if weight.requires_grad]
        return [weight.expand_as(weight).grad_fn.next_functions[0][0] for weight in trained]  # type: ignore[union-attr]

    before = nodes()
    with torch.autocast("cpu", torch.bfloat16), cast_once(policy):
        pass
    assert all(one is other for one, other in zip(nodes(), before, strict=True))


def test_without_autocast_nothing_is_cast() -> None:
    policy = PolicyBackbone(PolicySettings())
    with cast_once(policy) as head_VH:
        assert head_VH is policy.head
        assert {p.dtype for p in policy.parameters()} == {torch.float32}


def test_weights_come_back_after_an_error() -> None:
    policy = PolicyBackbone(PolicySettings())
    with pytest.raises(KeyError), torch.autocast("cpu", torch.bfloat16), cast_once(policy):
        raise KeyError
    assert {p.dtype for p in policy.parameters()} == {torch.float32}


@pytest.mark.parametrize(("tuning", "dtype"), [("full", "float32"), ("lora", "bfloat16")])
def test_two_objectives(
    tuning: Tuning, dtype: Any, tmp_path: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The KL to the reference is 0 before the first update and not after it: the reference keeps its own weights."""
    stages = [stage("grpo", 3, **grpo(beta=0.04, num_generations=2)), stage("sft", 2, sft=True)]
    path = write_config(tmp_path, shapes, stages=stages)
    logger = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(tmp_path)}}
    with changed(path) as config:
        config["trainer"]["logger"] = logger
        config["model"]["init_args"]["policy"] |= {"dtype": dtype}
    kls: list[float] = []

    def log_metrics(self: CSVLogger, metrics: dict[str, float], step: int | None = None) -> None:
        kls.extend(metrics[name] for name in metrics if name == "train/kl")

    monkeypatch.setattr(CSVLogger, "log_metrics", log_metrics)
    args = ["--tuning", tuning, "--trainer.precision", "bf16-mixed", *WITHOUT_VALIDATION]
    train.main(["fit", "--config", str(path), *args])
    assert kls[0] == pytest.approx(0, abs=1e-6) and all(kl > 1e-6 for kl in kls[1:]) and len(kls) == 3
    assert all(math.isfinite(loss) for _, _, loss in losses(tmp_path / "losses.jsonl"))
    base = PolicyBackbone(PolicySettings(tuning=tuning, dtype=dtype))
    saved = torch.load(tmp_path / "checkpoints" / "final.ckpt", weights_only=True)["state_dict"]
    for name, weight in base.named_parameters():
        if weight.requires_grad:
            assert saved[f"policy.{name}"].dtype == torch.float32, name
            assert not torch.equal(saved[f"policy.{name}"], weight), f"{name} had no gradient"
