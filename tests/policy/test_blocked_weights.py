"""The same completions from weights in blocks, and the same weights after them."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.policy.conftest import clip
from tvg_lightning.modules.step import StepContext
from tvg_lightning.policy import blocked_weights
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.blocked_weights import in_blocks
from tvg_lightning.policy.generation import Completion, generate
from tvg_lightning.policy.settings import GenerationSettings, PolicySettings
from tvg_lightning.schema import Prompt

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")


def put_all_into_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_LEAST_NUMBERS", "_LEAST_NUMBERS_OF_HEAD"):
        monkeypatch.setattr(blocked_weights, name, 0)


@pytest.fixture
def also_small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tiny policies' matrices gain nothing, and are put into blocks all the same."""
    put_all_into_blocks(monkeypatch)
    yield


def projections(policy: PolicyBackbone) -> dict[str, nn.Linear]:
    layers = policy.model.model.language_model.layers
    return {name: module for name, module in layers.named_modules() if type(module) is nn.Linear}


def rollout(policy: PolicyBackbone, temperature: float = 1.0) -> list[Completion]:
    prompts = [policy.encode(Prompt(question), clip(policy, 8, 2.0)) for question in ("What happens?", "Who spins?")]
    with torch.no_grad():
        features = policy.video_features(prompts)
    uniforms = StepContext(0, "test", 0, 0).uniforms([0, 1], 4, 24)
    groups = generate(policy, prompts, features, 4, GenerationSettings(24, temperature), uniforms)
    return [completion for group in groups for completion in group]


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_completions_are_the_same(checkpoint: str, tuning: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = PolicyBackbone(PolicySettings(checkpoint, tuning=tuning)).eval()
    with torch.no_grad():
        for name, weight in policy.named_parameters():
            if "lora_B" in name:  # begins at 0, where an adapter does nothing
                weight.normal_(std=0.1)
    plain = rollout(policy)
    put_all_into_blocks(monkeypatch)
    found = rollout(policy)
    assert [c.token_ids for c in found] == [c.token_ids for c in plain]
    for one, other in zip(found, plain, strict=True):
        torch.testing.assert_close(torch.tensor(one.logp), torch.tensor(other.logp), rtol=1e-5, atol=1e-5)


def test_under_autocast(checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = PolicyBackbone(PolicySettings(checkpoint)).eval()
    before = {name: weight.clone() for name, weight in policy.named_parameters()}
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        plain = rollout(policy, temperature=0.0)
        put_all_into_blocks(monkeypatch)
        found = rollout(policy, temperature=0.0)
    assert [c.token_ids[:4] for c in found] == [c.token_ids[:4] for c in plain]  # later a rounding may decide
    for one, other in zip(found, plain, strict=True):
        torch.testing.assert_close(torch.tensor(one.logp[:4]), torch.tensor(other.logp[:4]), rtol=0.0, atol=0.05)
    assert all(torch.equal(weight, before[name]) for name, weight in policy.named_parameters())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_are_moved_and_come_back_bit_for_bit(checkpoint: str, dtype: Any, also_small: None) -> None:
    policy = PolicyBackbone(PolicySettings(checkpoint, dtype=dtype))
    before = {name: weight.clone() for name, weight in policy.named_parameters()}
    with in_blocks(policy, policy.head):
        assert {module.weight.numel() for module in projections(policy).values()} == {0}, "none is there twice"
    for name, weight in policy.named_parameters():
        assert torch.equal(weight, before[name]), name
    assert not any("forward" in vars(module) for module in projections(policy).values())


def test_after_an_evaluation_they_can_be_trained(checkpoint: str, also_small: None) -> None:
    """``trainer.validate`` runs in inference mode, whose tensors never get a gradient."""
    policy = PolicyBackbone(PolicySettings(checkpoint)).train()
    weight = projections(policy)["0.mlp.up_proj"].weight
    with torch.inference_mode():
        rollout(policy)
    assert not weight.is_inference()
    nn.functional.linear(torch.ones(1, weight.shape[1]), weight).sum().backward()
    assert weight.grad is not None


def test_weights_come_back_after_an_error(checkpoint: str, also_small: None) -> None:
    policy = PolicyBackbone(PolicySettings(checkpoint))
    before = {name: module.weight.clone() for name, module in projections(policy).items()}
    with pytest.raises(KeyError), in_blocks(policy, policy.head):
        raise KeyError
    assert all(torch.equal(module.weight, before[name]) for name, module in projections(policy).items())


def test_a_product_with_a_bias(also_small: None) -> None:
    weight, bias, rows = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([0.5, -0.5]), torch.tensor([[1.0, 10.0]])
    found: Tensor = blocked_weights._product(blocked_weights._blocks(weight), bias, rows)
    assert found.tolist() == [[21.5, 42.5]]


def test_weights_in_4_bits_and_small_ones_stay(checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = PolicyBackbone(PolicySettings(checkpoint))
    with in_blocks(policy, policy.head):
        assert all(module.weight.numel() > 0 for module in projections(policy).values())
    put_all_into_blocks(monkeypatch)
    quantised = PolicyBackbone(PolicySettings(checkpoint, tuning="qlora")).eval()
    with in_blocks(quantised, quantised.head):
        moved = [name for name, module in projections(quantised).items() if module.weight.numel() == 0]
    assert moved and all("lora_" in name for name in moved)
