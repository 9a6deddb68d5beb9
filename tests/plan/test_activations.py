"""The formulas by hand, and against the tensors that autograd keeps in a real pass."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from transformers import Qwen2_5_VLTextConfig

from tests.policy.conftest import clip
from tvg_lightning.plan import activations
from tvg_lightning.plan.settings import PlanSettings
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.settings import PolicySettings, Tuning
from tvg_lightning.schema import Prompt

TEXT = Qwen2_5_VLTextConfig(
    vocab_size=10, hidden_size=4, intermediate_size=6, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1
)
# a prompt of 3 + 1 tokens and 2 completions of 2: a row of 8
ROW = PlanSettings(
    device="cpu", dtype="float32", text_tokens=3, frames=2, max_pixels=784, num_generations=2, max_new_tokens=2
)


def test_a_row_by_hand() -> None:
    """Numbers a token in a layer: 6 * 4 + 4 + 2 * 6 = 40; in float32 anyway: 2 * 4 + 2 + 2 = 12."""
    assert ROW.row_tokens == 8 and activations.key_value_width(TEXT) == 4
    assert activations.decoder_layer(TEXT, ROW) == 8 * (4 * 40 + 4 * 12)
    assert activations.decoder_layer(TEXT, replace(ROW, dtype="bfloat16")) == 8 * (2 * 40 + 4 * 12)
    lora = replace(ROW, tuning="lora", lora_rank=1)
    assert activations.decoder_layer(TEXT, lora) == 8 * (4 * (40 + 6 - 8) + 4 * 12)
    cast = replace(lora, dtype="bfloat16")
    assert activations.decoder_layer(TEXT, cast) == 8 * (2 * (40 + 6 - 8 + 16) + 4 * 12)
    assert activations.decoder_layer_backward(TEXT, ROW) == 8 * 4 * (24 + 8)
    ends = 4 * (8 * (3 * 4 + 4) + 4 * 4)
    assert activations.decoder(TEXT, ROW) == 3 * 8 * 208 + ends
    assert activations.decoder(TEXT, replace(ROW, gradient_checkpointing=True)) == 3 * 8 * 4 * 4 + ends


def test_a_gpu_keeps_a_copy_of_the_prompt_for_every_completion() -> None:
    """Keys and values of 2 * 4 prompt tokens and 4 own, 4 numbers each."""
    more = activations.decoder_layer(TEXT, replace(ROW, device="cuda")) - activations.decoder_layer(TEXT, ROW)
    assert more == (8 + 4) * 4 * 4


def test_logits_by_hand() -> None:
    assert activations.logits_backward(TEXT, ROW) == 16 * 4 * 10
    assert activations.logits_backward(TEXT, replace(ROW, logits_chunk=3)) == 16 * 3 * 10


class Kept:
    """Counts the bytes that autograd keeps while it is entered, each storage once, weights not."""

    def __init__(self, policy: PolicyBackbone) -> None:
        self.weights = {p.untyped_storage().data_ptr() for p in policy.parameters()}
        self.storages: dict[int, Any] = {}
        self.hooks = saved_tensors_hooks(self._keep, lambda x: x)

    def _keep(self, x: torch.Tensor) -> torch.Tensor:
        if x.untyped_storage().data_ptr() not in self.weights:
            self.storages[x.untyped_storage().data_ptr()] = x.untyped_storage()
        return x

    @property
    def num_bytes(self) -> int:
        return sum(storage.nbytes() for storage in self.storages.values())


@pytest.mark.parametrize(
    ("tuning", "dtype"), [("full", "float32"), ("full", "bfloat16"), ("lora", "float32"), ("lora", "bfloat16")]
)
def test_what_autograd_keeps_of_a_row(tuning: Tuning, dtype: Any) -> None:
    policy = PolicyBackbone(PolicySettings(tuning=tuning, dtype=dtype))
    prompt = policy.encode(Prompt("When does the red circle spin?"), clip(32, 2.0, side=56))
    features = policy.see([prompt])
    is_mixed = (tuning, dtype) == ("lora", "bfloat16")
    with torch.autocast("cpu", torch.bfloat16, enabled=is_mixed), (kept := Kept(policy)).hooks:
        policy.logp([prompt], [[[20 + k] * 16 for k in range(4)]], features)
    text = policy.text_config
    settings = PlanSettings(
        device="cpu", dtype=dtype, tuning=tuning, num_generations=4, max_new_tokens=16, frames=32,
        max_pixels=784, text_tokens=len(prompt.input_ids) - 16,
    )  # fmt: skip
    logits = 64 * text.vocab_size * 4
    expected = activations.decoder(text, settings) + logits
    if is_mixed:
        expected += 2 * sum(p.numel() for p in policy.parameters() if p.requires_grad)  # adapters as they are cast
    assert kept.num_bytes == pytest.approx(expected, rel=0.08)  # the ends of only four layers weigh


def test_what_autograd_keeps_of_the_tower() -> None:
    policy = PolicyBackbone(PolicySettings(train_vision_tower=True, train_merger=True))
    prompt = policy.encode(Prompt("When?"), clip(8, 2.0, side=112))
    with (kept := Kept(policy)).hooks:
        policy.see([prompt])
    num_t, num_h, num_w = prompt.grid_thw
    settings = PlanSettings(device="cpu", dtype="float32", frames=8, train_vision_tower=True, train_merger=True)
    vision = policy.vision_config
    share = num_t * num_h * num_w / settings.patches
    # the result is kept once more where windows differ in length, which they do not here
    assert kept.num_bytes == pytest.approx(activations.tower(vision, settings) * share, rel=0.04)
