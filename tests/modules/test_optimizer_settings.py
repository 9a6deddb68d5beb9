"""Every refusal names its key; the schedules by hand."""

import math
from collections.abc import Callable

import pytest

from tvg_lightning.modules.optimizer_settings import OptimizerSettings

NAN = math.nan


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: OptimizerSettings(lr=0.0), r"optimizer\.lr must be a positive number, not 0\.0"),
        (lambda: OptimizerSettings(lr=NAN), r"optimizer\.lr"),
        (lambda: OptimizerSettings(weight_decay=-0.1), r"optimizer\.weight_decay must not be negative"),
        (lambda: OptimizerSettings(weight_decay=NAN), r"optimizer\.weight_decay"),
        (lambda: OptimizerSettings(betas=(0.9, 1.0)), r"optimizer\.betas must lie in \[0, 1\)"),
        (lambda: OptimizerSettings(warmup_steps=-1), r"optimizer\.warmup_steps must not be negative"),
    ],
)
def test_refusals_name_their_key(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("schedule", "warmup_steps", "factors"),
    [
        ("constant", 0, [1.0, 1.0, 1.0, 1.0]),
        ("constant", 2, [0.5, 1.0, 1.0, 1.0]),
        ("linear", 0, [1.0, 0.75, 0.5, 0.25]),
        ("linear", 2, [0.5, 1.0, 1.0, 0.5]),
        ("cosine", 0, [1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]),
        ("cosine", 2, [0.5, 1.0, 1.0, 0.5]),
        ("cosine", 8, [0.125, 0.25, 0.375, 0.5]),  # a warm-up longer than the stage
    ],
)
def test_schedules_by_hand(schedule: str, warmup_steps: int, factors: list[float]) -> None:
    settings = OptimizerSettings(warmup_steps=warmup_steps, schedule=schedule)  # type: ignore[arg-type]
    assert [settings.factor(step, 4) for step in range(4)] == pytest.approx(factors)


def test_the_factor_after_the_last_step() -> None:
    """PyTorch asks for it when the last step has been taken."""
    assert OptimizerSettings(schedule="linear").factor(4, 4) == 0.0
    assert OptimizerSettings(schedule="cosine").factor(9, 4) == pytest.approx(0.0)
    assert OptimizerSettings(warmup_steps=4, schedule="linear").factor(4, 4) == 1.0
