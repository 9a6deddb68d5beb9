"""The formulas by hand, and against the tensors that autograd keeps in a real pass."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from transformers import Qwen2_5_VLTextConfig

from tests.policy.conftest import noise
from tvg_lightning.plan import activations, parameters
from tvg_lightning.plan.architecture import config_file, read_architecture
from tvg_lightning.plan.settings import PlanSettings, Precision
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.families.family import TowerSizes
from tvg_lightning.policy.flops import head_size
from tvg_lightning.policy.settings import PolicySettings, Tuning
from tvg_lightning.policy.split_attention import RowLayout
from tvg_lightning.policy.varlen_attention import varlen_attention
from tvg_lightning.policy.varlen_kernels import PlainKernel
from tvg_lightning.schema import Prompt

TEXT = Qwen2_5_VLTextConfig(
    vocab_size=10, hidden_size=4, intermediate_size=6, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1
)
# a prompt of 3 + 1 tokens and 2 completions of 2: a row of 8
ROW = PlanSettings(
    device="cpu", precision="32-true", text_tokens=3, frames=2, max_tokens=1, num_generations=2, max_new_tokens=2
)


def test_a_row_by_hand() -> None:
    """A token in a layer: 4 * 4 + 4 + 2 * 6 = 32 numbers of products, 2 * 4 of inputs, 2 + 2 always in float32."""
    assert ROW.row_tokens == 8 and activations.key_value_width(TEXT) == 4
    assert activations.decoder_layer(TEXT, ROW) == 8 * 4 * (32 + 8 + 4)
    assert activations.decoder_layer(TEXT, replace(ROW, precision="bf16-true")) == 8 * (2 * (32 + 8) + 4 * 4)
    lora = replace(ROW, tuning="lora", lora_rank=1)
    assert activations.decoder_layer(TEXT, lora) == 8 * 4 * (32 + 6 + 8 + 4)
    assert activations.decoder_layer_backward(TEXT, ROW) == 8 * 4 * (24 + 8)
    ends = 4 * (8 * 4 + 4 * 4)
    assert activations.decoder(TEXT, ROW) == 3 * 8 * 176 + ends
    assert activations.decoder(TEXT, replace(ROW, gradient_checkpointing=True)) == 3 * 8 * 4 * 4 + ends


def test_mixed_precision_by_hand() -> None:
    """Five projections cast a float32 input each, 3 * 4 numbers more than two; adapters' cast the result too."""
    mixed = replace(ROW, precision="bf16-mixed")
    assert activations.decoder_layer(TEXT, mixed) == 8 * (2 * (32 + 12) + 4 * (8 + 4))
    assert activations.decoder_layer_backward(TEXT, mixed) == 8 * (2 * (24 + 4) + 4 * 4)
    assert activations.prefill(TEXT, 5, mixed) == 5 * (2 * 24 + 4 * 12)
    lora = replace(mixed, tuning="lora", lora_rank=1)
    assert activations.decoder_layer(TEXT, lora) == 8 * (2 * (32 + 6 + 12 + 4 + 8) + 4 * 4)
    qlora = replace(lora, tuning="qlora")
    assert activations.decoder_layer(TEXT, qlora) == 8 * (2 * (32 + 6 + 8) + 4 * 4), "4-bit layers get no cast input"
    sharded = replace(mixed, strategy="fsdp", gpus=2)
    in_bfloat16 = replace(ROW, precision="bf16-true")
    assert activations.decoder(TEXT, sharded) == activations.decoder(TEXT, in_bfloat16)


def test_what_a_gpu_needs_more_to_decode_by_hand() -> None:
    """Of 4 prompt tokens 2 numbers of a key and 2 * 2 scores, or 3 * 2 * 2 scores, in float32."""
    on_gpu = replace(ROW, device="cuda")
    assert activations.decode_attention(TEXT, on_gpu) == 4 * 4 * 12
    assert activations.decode_attention(TEXT, replace(on_gpu, num_generations=1, batch_size=3)) == 3 * 4 * 4 * 6
    wide = Qwen2_5_VLTextConfig(num_attention_heads=2, num_key_value_heads=1, hidden_size=32)
    assert activations.decode_attention(wide, on_gpu) == 4 * 4 * (16 + 4)
    assert activations.decode_attention(TEXT, ROW) == 0
    assert activations.decoder(TEXT, on_gpu) == activations.decoder(TEXT, ROW)


def test_logits_by_hand() -> None:
    assert activations.logits_forward(TEXT, ROW) == 8 * 4 * 10
    assert activations.logits_backward(TEXT, ROW) == 4 * 4 * 10
    assert activations.logits_backward(TEXT, replace(ROW, precision="bf16-true")) == 6 * 4 * 10
    assert activations.logits_forward(TEXT, replace(ROW, logits_chunk=3)) == 8 * 3 * 10


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

    def within(self, module: nn.Module) -> None:
        """Be entered whenever that module runs."""
        module.register_forward_pre_hook(lambda *_: self.hooks.__enter__())
        module.register_forward_hook(lambda *_: self.hooks.__exit__(None, None, None))

    @property
    def num_bytes(self) -> int:
        return sum(storage.nbytes() for storage in self.storages.values())


def autocast(settings: PlanSettings) -> torch.autocast:
    """As Lightning opens it: no cast is remembered."""
    return torch.autocast("cpu", torch.bfloat16, enabled=settings.autocasts, cache_enabled=False)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_what_autograd_keeps_of_a_row(tuning: Tuning, precision: Precision, checkpoint: str) -> None:
    keeps_what_is_planned(tuning, precision, checkpoint)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_what_autograd_keeps_of_a_row_on_a_gpu(
    tuning: Tuning, precision: Precision, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What surrounds a GPU's kernels keeps the same, here with the plain kernel in their place."""
    attended = []

    def attend(layout: RowLayout, layer: int, *inputs: Any) -> torch.Tensor:
        attended.append(layer)
        query_KNgD, key_KND, value_KND, scaling = inputs
        parts = layout.varlen_parts(query_KNgD.device)
        return varlen_attention(query_KNgD, key_KND, value_KND, parts, scaling, PlainKernel)

    monkeypatch.setattr(RowLayout, "attend", attend)
    keeps_what_is_planned(tuning, precision, checkpoint)
    assert attended


def keeps_what_is_planned(tuning: Tuning, precision: Precision, checkpoint: str) -> None:
    settings = PlanSettings(
        device="cpu", precision=precision, tuning=tuning, num_generations=4, max_new_tokens=16, frames=32,
        max_tokens=1,
    )  # fmt: skip
    policy = PolicyBackbone(PolicySettings(checkpoint, tuning=tuning, dtype=settings.weight_dtype))
    if precision == "bf16-true":
        policy = policy.bfloat16()
    prompt = policy.encode(Prompt("When does the red circle spin?"), noise(2 * policy.side, 32, 2.0))
    settings = replace(settings, text_tokens=len(prompt.input_ids) - 16)  # times included
    architecture, text = read_architecture(config_file(checkpoint), settings), policy.text_config
    completions = [[[20 + k] * 16 for k in range(4)]]
    with autocast(settings):
        features = policy.video_features([prompt])
        with (whole := Kept(policy)).hooks:
            policy.logp([prompt], completions, features)
        (layer := Kept(policy)).within(policy.model.model.language_model.layers[1])
        policy.logp([prompt], completions, features)
    angles = 2 * settings.row_tokens * head_size(text) * settings.stream_bytes  # shared by all layers
    copies = parameters.loss_copies(architecture, settings)
    expected = activations.decoder_layer(text, settings, architecture.norms_queries) + copies + angles
    assert layer.num_bytes == pytest.approx(expected, rel=0.01)
    expected = (
        activations.decoder(text, settings, architecture.norms_queries) + text.num_hidden_layers * copies + angles
    )
    # with adapters the first norm keeps nothing
    assert whole.num_bytes == pytest.approx(expected, rel=0.01 if tuning == "full" else 0.02)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
def test_what_autograd_keeps_of_the_tower(precision: Precision, checkpoint: str) -> None:
    settings = PlanSettings(device="cpu", precision=precision, frames=8, train_vision_tower=True, train_merger=True)
    policy = PolicyBackbone(
        PolicySettings(checkpoint, train_vision_tower=True, train_merger=True, dtype=settings.weight_dtype)
    )
    prompt = policy.encode(Prompt("When?"), noise(4 * policy.side, 8, 2.0))
    with autocast(settings), (kept := Kept(policy)).hooks:
        policy.video_features([prompt])
    num_t, num_h, num_w = prompt.grid_thw
    num_patches, tower = num_t * num_h * num_w, policy.family.tower_sizes(policy.vision_config)
    planned = activations.vision_side(tower, policy.family.geometry.numbers, settings) * num_patches / settings.patches
    planned += parameters.loss_copies(read_architecture(config_file(checkpoint), settings), settings, num_layers=0)
    angles = 2 * num_patches * tower.hidden_size / tower.num_heads * 4  # cosines and sines, which all blocks share
    # the result is kept once more where windows differ in length, which they do not here
    once_more = tower.depth * num_patches * tower.hidden_size * settings.compute_bytes
    assert kept.num_bytes == pytest.approx(planned + angles - once_more, rel=0.015)


def test_norms_in_float32_by_hand() -> None:
    """Of 2 x 8 x 15 patches: 11 * 4 + 3 * 5 numbers in bfloat16, 2 of a head, 4 of two norms; their inputs twice."""
    tower = TowerSizes(1, 4, 5, 2, 7, kept_inner=3, has_layer_norms=True, num_mergers=2)
    settings = replace(ROW, precision="bf16-mixed", max_tokens=60, train_vision_tower=True, train_merger=True)
    num_patches = settings.patches
    assert activations.tower_block(tower, settings) == num_patches * (2 * (11 * 4 + 15) + 4 * (2 + 4))
    plain, on_gpu = (activations.tower_block(tower, replace(settings, device=name)) for name in ("cpu", "cuda"))
    assert on_gpu - plain == num_patches * 2 * (4 - 2) * 4
    frozen = replace(settings, train_vision_tower=False)
    assert activations.vision_side(tower, 3, frozen) == num_patches * 4 * 2 * (3 * 2 + 1)
    assert activations.vision_side(tower, 3, replace(frozen, device="cuda")) == num_patches * 4 * (3 * 2 * 2 + 4 * 2)
    sharded = replace(settings, device="cuda", strategy="fsdp", gpus=2)  # casts weights, not what norms read
    assert activations.tower_block(tower, sharded) == plain


def test_features_of_deepstack_by_hand() -> None:
    """One video token, three times 4 numbers, as hidden states are."""
    tower, one = TowerSizes(1, 4, 5, 2, 4, num_mergers=3), TowerSizes(1, 4, 5, 2, 4)
    assert activations.added_features(TEXT, tower, ROW) == 1 * 3 * 4 * 4
    assert activations.added_features(TEXT, tower, replace(ROW, precision="bf16-true", batch_size=2)) == 2 * 3 * 4 * 2
    assert activations.added_features(TEXT, one, ROW) == 0
