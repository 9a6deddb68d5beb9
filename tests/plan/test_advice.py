"""Advice is ordered, useful, and true: following it gives the promised peak."""

from dataclasses import replace
from pathlib import Path

import pytest

from tvg_lightning.plan.advice import planned_peak, suggestions
from tvg_lightning.plan.architecture import config_file
from tvg_lightning.plan.settings import PlanSettings


@pytest.fixture(scope="module")
def config() -> Path:
    return config_file("qwen2_5_vl_3b")


def test_it_ends_where_the_step_fits(config: Path) -> None:
    settings = PlanSettings(strategy="ddp", gpus=2)
    found = suggestions(config, settings)
    assert found[0].change == "gradient_checkpointing" and found[-1].fits
    assert not any(suggestion.fits for suggestion in found[:-1])
    thrifty = replace(settings, gradient_checkpointing=True)
    assert found[0].alone == found[0].together == planned_peak(config, thrifty)


def test_every_suggestion_helps(config: Path) -> None:
    settings = PlanSettings(gpu_memory_gib=1.0, batch_size=8, precision="32-true")
    found = suggestions(config, settings)
    peaks = [planned_peak(config, settings), *(suggestion.together for suggestion in found)]
    assert peaks == sorted(set(peaks), reverse=True)
    assert {"batch_size 1, 8 batches added up", "precision bf16-mixed: other rounding"} <= {s.change for s in found}
    assert not found[-1].fits, "three billion parameters are never held in one GiB"


def test_what_is_done_already_is_not_advised(config: Path) -> None:
    settings = PlanSettings(gpu_memory_gib=1.0, gradient_checkpointing=True, reference=False, tuning="lora")
    found = {suggestion.change for suggestion in suggestions(config, settings)}
    assert "tuning qlora, whole on every GPU" in found
    assert not found & {"gradient_checkpointing", "beta 0: no reference", "tuning lora"}


def test_what_is_learned_stays_the_same_at_first(config: Path) -> None:
    """Two changes are so; and bfloat16 weights, which round steps away, are nowhere."""
    settings = PlanSettings(
        strategy="ddp", gpus=2, gpu_memory_gib=1.0, precision="32-true", logits_chunk=4096,
        frames=2, max_tokens=1, max_new_tokens=600,
    )  # fmt: skip
    found = [suggestion.change for suggestion in suggestions(config, settings)]
    assert found[:3] == ["gradient_checkpointing", "logits_chunk 128", "fsdp over the 2 GPUs"]
    assert not any("bf16-true" in change for change in found)


def test_shards_are_not_advised_together_with_what_cannot_be_cut(config: Path) -> None:
    settings = PlanSettings(strategy="fsdp", gpus=2, gpu_memory_gib=0.5)
    changes = [suggestion.change for suggestion in suggestions(config, settings)]
    assert "fsdp over 4 GPUs" in changes and not any("adamw_8bit" in change for change in changes)
