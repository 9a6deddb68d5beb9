"""The lean modules against the published ones they replace."""

import torch
from torch import Tensor, nn
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionPatchEmbed, Qwen2_5_VLMLP

from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.lean_modules import LeanMLP, LeanPatchEmbedding


def published_mlp(tiny: PolicyBackbone) -> Qwen2_5_VLMLP:
    torch.manual_seed(0)
    return Qwen2_5_VLMLP(tiny.vision_config, bias=True)


def gradients(module: nn.Module, x: Tensor) -> list[Tensor]:
    """Of a loss in which every output counts differently, after the output itself."""
    x = x.clone().requires_grad_()
    out = module(x)
    loss = (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum()
    return [out.detach(), *torch.autograd.grad(loss, [x, *module.parameters()])]


def test_the_mlp_is_the_published_one(tiny: PolicyBackbone) -> None:
    mlp = published_mlp(tiny)
    x = torch.randn(7, tiny.vision_config.hidden_size)
    for ours, theirs in zip(gradients(LeanMLP(mlp), x), gradients(mlp, x), strict=True):
        assert torch.equal(ours, theirs)
    with torch.no_grad():
        assert torch.equal(LeanMLP(mlp)(x), mlp(x))


def test_the_mlp_keeps_two_tensors_of_its_width(tiny: PolicyBackbone) -> None:
    mlp, x = published_mlp(tiny), torch.randn(50, tiny.vision_config.hidden_size)

    def kept(module: nn.Module) -> int:
        found = {}

        def keep(tensor: Tensor) -> Tensor:
            if len(tensor) == 50 and tensor.shape[1] == tiny.vision_config.intermediate_size:
                found[tensor.data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            module(x.requires_grad_())
        return len(found)

    assert (kept(LeanMLP(mlp)), kept(mlp)) == (2, 4)


def test_patches_as_one_product(tiny: PolicyBackbone) -> None:
    embedding = Qwen2_5_VisionPatchEmbed(embed_dim=24)
    patches = torch.randn(9, 1176)
    ours, theirs = gradients(LeanPatchEmbedding(embedding), patches), gradients(embedding, patches)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    names = {name for name in tiny.state_dict() if "patch_embed" in name}
    assert names == {"model.model.visual.patch_embed.proj.weight"}
