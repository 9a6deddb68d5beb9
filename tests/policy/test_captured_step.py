"""Decoding with static shapes writes what decoding without them writes; on a CPU, without a graph."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.policy.test_generation import uniforms
from tvg_lightning.policy import generation, kv_cache
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.captured_step import CapturedStep, can_capture
from tvg_lightning.policy.generation import Completion, generate
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.policy.settings import GenerationSettings


def written(policy: PolicyBackbone, prompts: list[EncodedPrompt], settings: GenerationSettings) -> list[Completion]:
    numbers = uniforms(len(prompts), 4, settings.max_new_tokens)
    groups = generate(policy, prompts, policy.video_features(prompts), 4, settings, numbers)
    return [completion for group in groups for completion in group]


@pytest.mark.parametrize("num_prompts", [1, 3])
@pytest.mark.parametrize("changes", [{}, {"temperature": 0.0, "stop": ()}, {"presence_penalty": 0.5}])
def test_static_steps_write_the_same(
    tiny: PolicyBackbone,
    prompts: list[EncodedPrompt],
    monkeypatch: pytest.MonkeyPatch,
    num_prompts: int,
    changes: dict[str, Any],
) -> None:
    """Rows end early, so that they leave by halves, and the room grows twice: 4, 8, 16, 32 tokens."""
    settings = replace(GenerationSettings(max_new_tokens=20, temperature=2.0, stop=("e", "a")), **changes)
    expected = written(tiny, prompts[:num_prompts], settings)
    shapes: list[object] = []
    step = CapturedStep.__call__

    def watched(self: CapturedStep, shape: object, token: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        shapes.append(shape)
        return step(self, shape, token, position)  # type: ignore[arg-type]

    monkeypatch.setattr(CapturedStep, "__call__", watched)
    monkeypatch.setattr(kv_cache, "_FIRST_TOKENS", 4)
    monkeypatch.setattr(generation, "can_capture", lambda policy: True)
    found = written(tiny, prompts[:num_prompts], settings)
    assert [c.token_ids for c in found] == [c.token_ids for c in expected]
    assert [c.truncated for c in found] == [c.truncated for c in expected]
    for ours, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.logp, reference.logp, rtol=1e-5, atol=1e-5)
    assert shapes and (len(shapes) < 4 or len(set(shapes)) < len(shapes))  # most steps are replayed


def test_a_cpu_captures_nothing(tiny: PolicyBackbone) -> None:
    assert not can_capture(tiny)


def test_what_goes_in_is_copied_and_shapes_begin_anew() -> None:
    places: list[tuple[int, int]] = []

    def step(token: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        places.append((token.data_ptr(), position.data_ptr()))
        return token + position

    captured = CapturedStep(step)
    kept = []
    for shape, tokens in (("a", [1, 2]), ("a", [3, 4]), ("b", [5])):
        kept.append(torch.tensor(tokens))
        assert captured(shape, kept[-1], torch.ones(len(tokens), dtype=torch.long)).tolist() == [t + 1 for t in tokens]
    assert places[0] == places[1] != places[2]
