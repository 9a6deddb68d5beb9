"""Every refusal names its key."""

import math
from collections.abc import Callable

import pytest

from tvg_lightning.modules.grpo_settings import GRPOSettings
from tvg_lightning.policy.settings import GenerationSettings

NAN = math.nan


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GRPOSettings(num_generations=1), r"grpo\.num_generations must be at least 2"),
        (lambda: GRPOSettings(beta=-0.1), r"grpo\.beta must not be negative"),
        (lambda: GRPOSettings(beta=NAN), r"grpo\.beta"),
        (lambda: GRPOSettings(clip_low=0.0), r"grpo\.clip_low must be positive"),
        (lambda: GRPOSettings(clip_high=NAN), r"grpo\.clip_high must be positive"),
        (
            lambda: GRPOSettings(generation=GenerationSettings(temperature=0.0)),
            r"grpo\.generation\.temperature 0",
        ),
        (
            lambda: GRPOSettings(generation=GenerationSettings(repetition_penalty=1.05)),
            r"grpo\.generation: repetition_penalty and presence_penalty are for evaluation: the loss does not know",
        ),
        (
            lambda: GRPOSettings(generation=GenerationSettings(presence_penalty=1.5)),
            r"grpo\.generation: repetition_penalty and presence_penalty are for evaluation",
        ),
    ],
)
def test_refusals_name_their_key(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
