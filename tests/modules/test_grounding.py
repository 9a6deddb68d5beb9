"""What all training modules share: where a step is taken, what is refused, and the engine by one config key."""

import logging
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn

import train
from tests.runs import WITHOUT_VALIDATION, grpo, stage, write_config
from tvg_lightning.modules.grpo import GRPOModule
from tvg_lightning.modules.grpo_settings import GRPOSettings
from tvg_lightning.modules.optimizer_settings import OptimizerSettings
from tvg_lightning.modules.sft import SFTModule
from tvg_lightning.modules.step import StepContext
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import Completion
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.policy.settings import GenerationSettings, PolicySettings
from tvg_lightning.rewards.weights import RewardWeights
from tvg_lightning.traces import read_traces


def attached(module: SFTModule, **trainer: Any) -> SFTModule:
    """With as much of a trainer as is asked."""
    module._trainer = SimpleNamespace(**trainer)  # type: ignore[assignment]
    return module


def test_where_the_coming_step_is_taken() -> None:
    loop = SimpleNamespace(total_batch_idx=12)
    module = attached(SFTModule(PolicySettings(), seed=7), fit_loop=loop, current_epoch=3, world_size=4)
    assert module.step_context() == StepContext(seed=7, stage="train", step=12, epoch=3, world_size=4, epoch_of_stage=3)


@pytest.mark.parametrize("precision", ["16-mixed", "16-true"])
def test_half_precision_is_refused(precision: str) -> None:
    module = attached(SFTModule(PolicySettings()), precision=precision)
    with pytest.raises(ValueError, match=f"precision {precision} has too small a range: take bf16-mixed"):
        module.setup("fit")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_features_are_known_by_the_tower_and_the_dtype(dtype: Any) -> None:
    module = SFTModule(PolicySettings(dtype=dtype))
    module.configure_model()
    assert module.token_side() == 28
    before = module.feature_identity()
    assert before == (module.policy.vision_identity(), getattr(torch, dtype))
    with torch.no_grad():
        next(module.policy.model.model.visual.parameters()).add_(1.0)
    assert module.feature_identity() != before


def test_checkpoints_of_adapters_may_lack_the_base() -> None:
    assert SFTModule(PolicySettings()).strict_loading
    assert not SFTModule(PolicySettings(tuning="lora")).strict_loading


def test_a_checkpoint_of_another_project_is_refused() -> None:
    module = SFTModule(PolicySettings())
    with pytest.raises(ValueError, match="the checkpoint is of no training run of this project"):
        module.on_load_checkpoint({"state_dict": {}, "epoch": 3})


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What a module logs."""
    found: dict[str, float] = {}
    monkeypatch.setattr(SFTModule, "log", lambda self, name, value, **_: found.update({name: float(value)}))
    return found


def optimizer_of(*gradients: float) -> torch.optim.Optimizer:
    parameters = [nn.Parameter(torch.zeros(())) for _ in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = torch.tensor(gradient)
    return torch.optim.SGD(parameters)


def test_the_norm_of_the_gradient_is_logged(logged: dict[str, float]) -> None:
    SFTModule(PolicySettings()).on_before_optimizer_step(optimizer_of(3.0, 4.0))
    assert logged == {"train/skipped": 0.0, "train/grad_norm": 5.0}


def test_an_update_that_is_not_finite_is_refused_or_skipped(
    logged: dict[str, float], caplog: pytest.LogCaptureFixture
) -> None:
    optimizer = optimizer_of(3.0, float("inf"))
    module = attached(SFTModule(PolicySettings()), global_step=9)
    module.last_asked = ["s1", "s2"]
    with pytest.raises(ValueError, match="step 9: the gradient is not finite; its prompts were of s1, s2"):
        module.on_before_optimizer_step(optimizer)
    module.optimizer_settings = OptimizerSettings(nonfinite="skip")
    with caplog.at_level(logging.WARNING):
        module.on_before_optimizer_step(optimizer)
    assert "step 9: the gradient is not finite, update skipped (s1, s2)" in caplog.text
    assert logged == {"train/skipped": 1.0}
    assert all(parameter.grad is None for parameter in optimizer.param_groups[0]["params"])


# ---- another engine

ANSWERS = ("<think>from 0.0 to 1.0</think><answer>0.0 to 1.0</answer>", "I do not know.", "")


def engine(
    policy: PolicyBackbone,
    prompts: Sequence[EncodedPrompt],
    features: Sequence[Tensor],
    num_generations: int,
    generation: GenerationSettings,
    uniform_RT: Tensor | None = None,
) -> list[list[Completion]]:
    """The same answers to every prompt, with what the policy thinks of them."""
    ids = [policy.text_to_ids(text) for text in ANSWERS[:num_generations]]
    with torch.no_grad():
        logp_BGC, _ = policy.logp(prompts, [ids for _ in prompts], features, generation.temperature)
    return [
        [
            Completion(tuple(row), policy.ids_to_text(row), tuple(logp_C[: len(row)].tolist()), truncated=False)
            for row, logp_C in zip(ids, logp_GC, strict=True)
        ]
        for logp_GC in logp_BGC
    ]


def test_an_engine_by_its_name(tmp_path: Path, shapes: Path) -> None:
    config = write_config(tmp_path, shapes, stages=[stage("only", 2, **grpo())])
    args = ["--model.init_args.engine", "tests.modules.test_grounding.engine", *WITHOUT_VALIDATION]
    train.main(["fit", "--config", str(config), *args])
    (file,) = (tmp_path / "traces").glob("only*.jsonl")
    assert [trace.text for trace in read_traces(file)] == [*ANSWERS] * 4  # two steps of two prompts


def test_what_is_no_engine_is_refused(tmp_path: Path, shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, shapes, stages=[stage("only", 2, **grpo())])
    with pytest.raises(SystemExit):
        train.main(["fit", "--config", str(config), "--model.init_args.engine", "tests.modules.test_grounding.nothing"])
    assert "engine" in capsys.readouterr().err


def test_data_that_are_not_from_the_datamodule_are_refused() -> None:
    module = GRPOModule(PolicySettings(), GRPOSettings(), RewardWeights(iou=1.0))
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
    with pytest.raises(ValueError, match=r"takes its data from a TVGDataModule: trainer\.fit\(module, datamodule\)"):
        trainer.fit(module, [], [])
