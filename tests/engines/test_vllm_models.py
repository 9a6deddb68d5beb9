"""The parts of vLLM's models that are ours, without an engine."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from tvg_lightning.policy.families.known import FAMILIES

pytestmark = pytest.mark.vllm


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_family_is_registered_once(model_type: str) -> None:
    from vllm import ModelRegistry

    from tvg_lightning.engines.vllm_models import register

    name = register(FAMILIES[model_type])
    assert name == register(FAMILIES[model_type])
    assert name in ModelRegistry.get_supported_archs()


def test_temperature_and_suppressed_tokens_are_in_the_logits() -> None:
    from tvg_lightning.engines.vllm_models import _OurPrompts

    class Logits:
        config = SimpleNamespace(suppressed_ids=[1, 3])

        def compute_logits(self, hidden_states: Tensor) -> Any:
            return hidden_states

    class Model(_OurPrompts, Logits):
        def __init__(self) -> None:
            self.take_temperature(0.5)

    found = Model().compute_logits(torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.bfloat16))
    assert found is not None
    assert found.dtype == torch.float32
    assert found.tolist() == [[2.0, float("-inf"), 6.0, float("-inf")]]
    greedy = Model()
    greedy.take_temperature(0.0)
    assert greedy.compute_logits(torch.tensor([[1.0, 2.0]] * 4).T.contiguous()).tolist()[0][0] == 1.0  # type: ignore[union-attr]


def test_positions_and_features_are_those_of_the_request() -> None:
    from tvg_lightning.engines.vllm_models import _OurPrompts, video_item

    positions_3L = torch.tensor([[0, 4, 4, 9], [0, 1, 1, 9], [0, 1, 2, 9]])
    item = video_item(torch.ones(2, 6), positions_3L)
    found, delta = _OurPrompts.get_mrope_input_positions(
        None,
        [1, 9, 9, 2],
        [SimpleNamespace(data=item)],  # type: ignore[arg-type]
    )
    assert torch.equal(found, positions_3L)
    assert delta == 6  # the next token, number 4, stands at 10
