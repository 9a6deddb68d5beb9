"""Lengths by hand, and what is refused."""

from typing import Any

import pytest

from tvg_lightning.plan.settings import PlanSettings


def test_lengths_by_hand() -> None:
    """Four frames of 720 x 1280 in 128 * 784 pixels: 224 x 420, so 8 * 15 tokens a pair."""
    settings = PlanSettings(batch_size=3, num_generations=2, max_new_tokens=5, text_tokens=7, frames=4)
    assert settings.patches == 2 * 16 * 30 and settings.video_tokens == 240
    assert settings.prompt_tokens == 247 and settings.completion_tokens == 30
    assert settings.row_tokens == 3 * 247 + 30


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"gpus": 0}, "--gpus"),
        ({"frames": 3}, "--frames must be even"),
        ({"max_pixels": 100}, "--max_pixels"),
        ({"headroom": 1.0}, "--headroom"),
        ({"gpus": 2}, "--strategy single is one GPU"),
        ({"tuning": "lora", "train_merger": True}, "--train_merger"),
        ({"num_generations": 0}, "--num_generations"),
        ({"strategy": "fsdp", "tuning": "qlora"}, "--strategy fsdp cuts neither"),
        ({"strategy": "fsdp", "optimizer": "adamw_8bit"}, "--strategy fsdp cuts neither"),
    ],
)
def test_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        PlanSettings(**values)
