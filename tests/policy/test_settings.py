"""What cannot be is refused by its key, before any weight loads."""

from typing import Any

import pytest

from tvg_lightning.policy.settings import GenerationSettings, PolicySettings


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"checkpoint": ""}, r"policy\.checkpoint is empty"),
        ({"tuning": "lora", "train_merger": True}, r"policy\.train_merger need policy\.tuning full, not lora"),
        ({"tuning": "qlora", "train_vision_tower": True}, r"policy\.train_vision_tower .* full, not qlora"),
        ({"lora_rank": 0}, r"policy\.lora_rank must be at least 1, not 0"),
        ({"lora_alpha": -1}, r"policy\.lora_alpha must be at least 1, not -1"),
        ({"logits_chunk": 0}, r"policy\.logits_chunk must be at least 1, not 0"),
    ],
)
def test_a_policy_that_cannot_be(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PolicySettings(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, not 0"),
        ({"temperature": -0.1}, r"temperature must not be negative, not -0\.1"),
        ({"top_p": 0.0}, r"top_p must lie in \(0, 1\], not 0\.0"),
        ({"top_p": 1.1}, r"top_p must lie in \(0, 1\], not 1\.1"),
        ({"top_k": -1}, "top_k must not be negative, not -1"),
        ({"repetition_penalty": -1.0}, r"repetition_penalty must be a positive number, not -1\.0"),
        ({"presence_penalty": float("nan")}, "presence_penalty must be a finite number, not nan"),
    ],
)
def test_generation_that_cannot_be(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GenerationSettings(**changes)


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(ValueError, match="stop"):
        GenerationSettings(stop=("</answer>", ""))


def test_the_edges_are_allowed() -> None:
    assert GenerationSettings(max_new_tokens=1, temperature=0.0, top_p=1.0, top_k=0).stop == ()


def test_what_trains_the_vision_side() -> None:
    named = [PolicySettings(), PolicySettings(train_merger=True), PolicySettings(train_vision_tower=True)]
    assert [settings.trains_vision for settings in named] == [False, True, True]
