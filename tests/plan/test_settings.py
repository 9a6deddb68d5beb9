"""Lengths by hand, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tvg_lightning.oracle import OracleSettings
from tvg_lightning.plan.settings import PlanSettings
from tvg_lightning.policy.families.qwen2_5_vl import video_text as qwen2_5_video_text
from tvg_lightning.policy.families.qwen3_vl import video_text as qwen3_video_text

CONFIGS = Path(__file__).parents[2] / "configs"


def test_lengths_by_hand() -> None:
    """Four frames of 720 x 1280 in 128 tokens of 28 x 28: 224 x 420, so 8 * 15 tokens a pair."""
    settings = PlanSettings(batch_size=3, num_generations=2, max_new_tokens=5, text_tokens=7, frames=4)
    assert settings.patches == 2 * 16 * 30 and settings.video_tokens == 240
    assert settings.prompt_tokens == 247 and settings.completion_tokens == 30
    assert settings.row_tokens == 3 * 247 + 30


def test_small_pictures_have_fewer_tokens_where_those_are_larger() -> None:
    """720 x 1280 is 25.7 x 45.7 tokens of 28 x 28, more than 1,000; and 22.5 x 40 of 32 x 32."""
    small = PlanSettings(frames=2, max_tokens=1000)
    assert small.grid_thw == (1, 46, 84) and small.video_tokens == 23 * 42
    large = replace(small, side=32)
    assert large.grid_thw == (1, 44, 80) and large.video_tokens == 22 * 40


def test_rows_that_are_pruned_are_not_in_the_row_of_the_loss() -> None:
    """Of 8 completions and the annotation 4 are kept; without pruning the annotation is one more."""
    plain = PlanSettings(batch_size=3, max_new_tokens=5, text_tokens=7, frames=4, reference=False)
    assert plain.completion_tokens == 3 * 8 * 5
    half, none = (replace(plain, oracle=OracleSettings(prune=share)) for share in (0.5, 0.0))
    assert half.completion_tokens == 3 * 4 * 5 and none.completion_tokens == 3 * 9 * 5
    assert half.row_tokens == 3 * 247 + 60


def test_times_as_text_by_hand() -> None:
    """At 2 frames a second pairs begin at 0.0, 1.0, … 11.0: ten of 3 tokens, two of 4; 12 pairs of marks for one."""
    plain = PlanSettings(frames=24, text_tokens=7, video_text=qwen2_5_video_text)
    timed = replace(plain, time_as_text=True)
    assert timed.prompt_tokens - plain.prompt_tokens == 10 * 3 + 2 * 4 + 11 * 2
    assert replace(timed, fps=4.0).time_tokens == 12 * 3 + 11 * 2, "0.0, 0.5, … 5.5"
    # <0.2 seconds> in any case: a sign, three of the number, a word, a sign
    assert replace(plain, frames=4, video_text=qwen3_video_text).time_tokens == 2 * 6 + 1 * 2


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"gpus": 0}, "--gpus"),
        ({"frames": 3}, "--frames must be even"),
        ({"max_tokens": 0}, "--max_tokens"),
        ({"headroom": 1.0}, "--headroom"),
        ({"fps": 0.0}, "--fps"),
        ({"oracle": OracleSettings()}, "--oracle goes without a KL"),
        ({"oracle": OracleSettings(), "reference": False, "num_generations": 2}, "grpo.oracle.prune is 0.5"),
        ({"gpus": 2}, "--strategy single is one GPU"),
        ({"tuning": "lora", "train_merger": True}, "--train_merger"),
        ({"num_generations": 0}, "--num_generations"),
        ({"accumulate_grad_batches": 0}, "--accumulate_grad_batches"),
        ({"strategy": "fsdp", "tuning": "qlora"}, "--strategy fsdp cuts neither"),
        ({"strategy": "fsdp", "optimizer": "adamw_8bit"}, "--strategy fsdp cuts neither"),
    ],
)
def test_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        PlanSettings(**values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"precision": "32-true"}, (4, 4, 4, 4)),
        ({"precision": "bf16-mixed"}, (4, 4, 2, 4)),
        ({"precision": "bf16-mixed", "strategy": "fsdp"}, (4, 4, 2, 2)),
        ({"precision": "bf16-mixed", "tuning": "lora"}, (2, 4, 2, 2)),
        ({"precision": "bf16-mixed", "tuning": "qlora"}, (2, 4, 2, 2)),
        ({"precision": "bf16-mixed", "tuning": "lora", "strategy": "fsdp"}, (2, 4, 2, 2)),
        ({"precision": "bf16-true", "tuning": "lora"}, (2, 2, 2, 2)),
        ({"precision": "bf16-true"}, (2, 2, 2, 2)),
    ],
)
def test_bytes_of_a_number(values: dict[str, Any], expected: tuple[int, ...]) -> None:
    """Of weights, of what is trained, of what products give, of what layers add to."""
    found = PlanSettings(**values)
    assert (found.weight_bytes, found.trained_bytes, found.compute_bytes, found.stream_bytes) == expected


def test_a_recipe_is_the_default() -> None:
    recipe = yaml.safe_load((CONFIGS / "time_r1" / "recipe.yaml").read_text(encoding="utf-8"))
    assert PlanSettings().precision == recipe["trainer"]["precision"]
    assert PlanSettings().weight_dtype == recipe["model"]["init_args"]["policy"]["dtype"]
    for tuning in ("lora", "qlora"):
        overlay = yaml.safe_load((CONFIGS / "tuning" / f"{tuning}.yaml").read_text(encoding="utf-8"))
        adapters = PlanSettings(tuning=overlay["tuning"])
        assert adapters.weight_dtype == overlay["model"]["init_args"]["policy"]["dtype"]
