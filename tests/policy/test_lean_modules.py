"""The lean modules against the published ones they replace."""

import pytest
import torch
from torch import Tensor, nn
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VisionPatchEmbed,
    Qwen2_5_VLMLP,
    Qwen2_5_VLRMSNorm,
    apply_rotary_pos_emb,
)

from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.lean_modules import LeanMLP, LeanNorm, LeanPatchEmbedding, rotated, row_angles


def published_mlp(packaged: PolicyBackbone) -> Qwen2_5_VLMLP:
    torch.manual_seed(0)
    return Qwen2_5_VLMLP(packaged.vision_config, bias=True)


def gradients(module: nn.Module, x: Tensor) -> list[Tensor]:
    """Of a loss in which every output counts differently, after the output itself."""
    x = x.clone().requires_grad_()
    out = module(x)
    loss = (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum()
    return [out.detach(), *torch.autograd.grad(loss, [x, *module.parameters()])]


def test_the_mlp_is_the_published_one(packaged: PolicyBackbone) -> None:
    mlp = published_mlp(packaged)
    x = torch.randn(7, packaged.vision_config.hidden_size)
    for ours, theirs in zip(gradients(LeanMLP(mlp), x), gradients(mlp, x), strict=True):
        assert torch.equal(ours, theirs)
    with torch.no_grad():
        assert torch.equal(LeanMLP(mlp)(x), mlp(x))


def test_the_mlp_keeps_two_tensors_of_its_width(packaged: PolicyBackbone) -> None:
    mlp, x = published_mlp(packaged), torch.randn(50, packaged.vision_config.hidden_size)

    def kept(module: nn.Module) -> int:
        found = {}

        def keep(tensor: Tensor) -> Tensor:
            if len(tensor) == 50 and tensor.shape[1] == packaged.vision_config.intermediate_size:
                found[tensor.data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            module(x.requires_grad_())
        return len(found)

    assert (kept(LeanMLP(mlp)), kept(mlp)) == (2, 4)


def published_norm(dtype: torch.dtype = torch.float32) -> Qwen2_5_VLRMSNorm:
    norm = Qwen2_5_VLRMSNorm(24, eps=1e-3)
    norm.weight.data = torch.randn(24)
    return norm.to(dtype)


@pytest.mark.parametrize("weight_dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_norm_is_the_published_one(dtype: torch.dtype, weight_dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    norm, x = published_norm(weight_dtype), torch.randn(1, 9, 24, dtype=dtype) / 10
    (ours, *our_gradients), (theirs, *their_gradients) = (gradients(module, x) for module in (LeanNorm(norm), norm))
    assert torch.equal(ours, theirs)
    with torch.no_grad():
        assert torch.equal(LeanNorm(norm)(x), theirs)
    exact = dtype == weight_dtype == torch.float32
    atol = 1e-5 if exact else 0.05  # gradients of up to 12, which bfloat16 rounds at several places
    for one, other in zip(our_gradients, their_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5 if exact else 0.02, atol=atol)


def test_a_frozen_norm_still_passes_gradients_on() -> None:
    norm, x = published_norm().requires_grad_(False), torch.randn(5, 24, requires_grad=True)
    weights = torch.linspace(-1, 1, 24)
    (ours,) = torch.autograd.grad((LeanNorm(norm)(x) * weights).sum(), x)
    (theirs,) = torch.autograd.grad((norm(x) * weights).sum(), x)
    torch.testing.assert_close(ours, theirs)


def test_the_norm_keeps_its_input_and_one_number_a_token() -> None:
    norm, x = published_norm(), torch.randn(50, 24, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.data_ptr() == x.data_ptr() or t.numel()), id):
        LeanNorm(norm)(x)
    assert sorted(kept) == [1, 24, 50]  # x itself, the weight, the scales


def test_the_rotation_is_the_published_one(packaged: PolicyBackbone) -> None:
    rotary, head_dim = packaged.model.model.language_model.rotary_emb, 32
    positions_31N = torch.tensor([[[0, 5, 9]], [[0, 7, 9]], [[0, 6, 9]]])
    embeds_1NH, x_NhD = torch.zeros(1, 3, 8), torch.randn(3, 4, head_dim, requires_grad=True)
    cos_1ND, sin_1ND = rotary(embeds_1NH, positions_31N)
    x_1hND = x_NhD.transpose(0, 1)[None]
    theirs = apply_rotary_pos_emb(x_1hND, x_1hND, cos_1ND, sin_1ND)[0][0].transpose(0, 1)
    ours = rotated(x_NhD, row_angles(rotary, embeds_1NH, positions_31N))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    weights = torch.linspace(-1, 1, ours.numel()).view_as(ours)
    (our_gradient,) = torch.autograd.grad((ours * weights).sum(), x_NhD)
    (their_gradient,) = torch.autograd.grad((theirs * weights).sum(), x_NhD)
    torch.testing.assert_close(our_gradient, their_gradient, rtol=1e-6, atol=1e-6)


def test_angles_in_float32_turn_bfloat16_as_near_as_it_can_say() -> None:
    """As under autocast: turned in float32, then rounded once."""
    torch.manual_seed(0)
    x_NhD, angle_N1D = torch.randn(3, 4, 8).bfloat16(), torch.rand(3, 1, 8)
    found = rotated(x_NhD, (angle_N1D.cos(), angle_N1D.sin()))
    assert torch.equal(found, rotated(x_NhD.float(), (angle_N1D.cos(), angle_N1D.sin())).bfloat16())


def test_patches_as_one_product(packaged: PolicyBackbone) -> None:
    embedding = Qwen2_5_VisionPatchEmbed(embed_dim=24)
    patches = torch.randn(9, 1176)
    ours, theirs = gradients(LeanPatchEmbedding(embedding), patches), gradients(embedding, patches)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    names = {name for name in packaged.state_dict() if "patch_embed" in name}
    assert names == {"model.model.visual.patch_embed.proj.weight"}
