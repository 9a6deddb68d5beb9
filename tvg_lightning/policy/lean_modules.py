"""Modules of the published architectures, with the same parameters under the same names, in less time and memory.

Shape suffixes: N tokens, H hidden, h heads, K key heads, g query heads of each, D head dimension.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.utils.checkpoint import checkpoint

from tvg_lightning.policy.attention import RowAttention

Angles = tuple[Tensor, Tensor]  # cosine, and sine with the sign of its term, (N, 1, D) each


class LeanNorm(nn.Module):
    """x / rms(x) * weight, keeping only x and one number a token for the backward pass."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight, self.eps = norm.weight, norm.variance_epsilon

    def forward(self, x_NH: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            normed: Tensor = _Norm.apply(x_NH, self.weight, self.eps)
            return normed
        return _unit(x_NH, _scale(x_NH, self.eps)) * self.weight


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_NH: Tensor, weight_H: Tensor, eps: float) -> Tensor:
        scale_N1 = _scale(x_NH, eps)
        ctx.save_for_backward(x_NH, weight_H, scale_N1)
        return _unit(x_NH, scale_N1) * weight_H

    @staticmethod
    def backward(ctx: Any, grad_NH: Tensor) -> tuple[Tensor | None, ...]:
        x_NH, weight_H, scale_N1 = ctx.saved_tensors
        grad_weight_H = None
        if ctx.needs_input_grad[1]:
            grad_weight_H = (grad_NH * _unit(x_NH, scale_N1)).flatten(0, -2).sum(0).to(weight_H.dtype)
        unit_NH, grad_unit_NH = x_NH * scale_N1, (grad_NH * weight_H).float()
        along_N1 = (grad_unit_NH * unit_NH).mean(-1, keepdim=True)
        grad_x_NH = (grad_unit_NH - unit_NH * along_N1) * scale_N1
        return grad_x_NH.to(x_NH.dtype), grad_weight_H, None


def _scale(x_NH: Tensor, eps: float) -> Tensor:
    """1 / rms of every token, float32."""
    return (x_NH.float().square().mean(-1, keepdim=True) + eps).rsqrt_()


def _unit(x_NH: Tensor, scale_N1: Tensor) -> Tensor:
    """Scaled in float32, rounded before the weight comes, as published."""
    return (x_NH * scale_N1).to(x_NH.dtype)


class LeanAttention(nn.Module):
    """Attention of a language model, where a row decides which token sees which; without a row, the published one.

    A family puts it before its published class: ``class Lean(LeanAttention, Published)``.
    """

    q_proj: nn.Linear
    k_proj: nn.Linear
    v_proj: nn.Linear
    o_proj: nn.Linear
    head_dim: int
    scaling: float
    layer_idx: int | None

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: Any = None,
        row: RowAttention | None = None,
        **others: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """hidden_states (1, N, H) -> (1, N, H), and None for weights. With a ``row`` the embeddings are ``Angles``."""
        if row is None:
            found = super().forward(hidden_states, position_embeddings=position_embeddings, **others)
            return found[0], found[1]
        angles: Angles = position_embeddings
        assert self.layer_idx is not None
        query_NhD, key_NKD, value_NKD = (
            projection(hidden_states[0]).unflatten(1, (-1, self.head_dim))
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        query_NhD, key_NKD = self.normed(query_NhD, key_NKD)
        query_NKgD = rotated(query_NhD, angles).unflatten(1, (key_NKD.shape[1], -1))
        key_NKD = rotated(key_NKD, angles)
        query_KNgD, key_KND, value_KND = (x.transpose(0, 1) for x in (query_NKgD, key_NKD, value_NKD))
        found_KNgD = row.attend(self.layer_idx, query_KNgD, key_KND, value_KND, self.scaling)
        return self.o_proj(found_KNgD.transpose(0, 1).flatten(1))[None], None

    def normed(self, query_NhD: Tensor, key_NKD: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys before their rotation, in their own dtype; as they come unless the family has norms."""
        return query_NhD, key_NKD


def row_angles(rotary: nn.Module, embeds_1NH: Tensor, positions_31N: Tensor) -> Angles:
    """Cosine and sine of every token's angles for ``rotated``, (N, 1, D) each: the same for all layers and heads."""
    cos_1ND, sin_1ND = rotary(embeds_1NH, positions_31N)
    sin_1Nd, _ = sin_1ND.chunk(2, dim=2)  # the second half is the same once more
    return cos_1ND[0][:, None], torch.cat((-sin_1Nd, sin_1Nd), dim=2)[0][:, None]


def rotated(x_NhD: Tensor, angles: Angles) -> Tensor:
    """Rotary embedding (N, h, D): of a head, numbers d and d + D / 2 are the two coordinates of a point."""
    cos_N1D, sin_N1D = angles
    other_NhD = x_NhD.roll(x_NhD.shape[2] // 2, dims=2)
    # in the angles' type, which under autocast is the wider one
    return (x_NhD * cos_N1D).addcmul(other_NhD.to(sin_N1D.dtype), sin_N1D).to(x_NhD.dtype)


class LeanMLP(nn.Module):
    """down(act(gate(x)) * up(x)), keeping only what gate and up gave for the backward pass.

    What lies between them and the last projection is computed again there, without a matrix product: the
    recomputation ends as soon as the last projection has its input.
    """

    def __init__(self, mlp: Any) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = mlp.gate_proj, mlp.up_proj, mlp.down_proj
        self.act_fn = mlp.act_fn

    def forward(self, hidden: Tensor) -> Tensor:
        gate, up = self.gate_proj(hidden), self.up_proj(hidden)
        if torch.is_grad_enabled():
            return checkpoint(self._down, gate, up, use_reentrant=False, preserve_rng_state=False)
        return self._down(gate, up)

    def _down(self, gate: Tensor, up: Tensor) -> Tensor:
        return self.down_proj(self.act_fn(gate) * up)


class LeanPatchEmbedding(nn.Module):
    """A convolution whose stride is its kernel is one matrix product over the patches."""

    def __init__(self, patch_embed: Any) -> None:
        super().__init__()
        self.proj = patch_embed.proj

    def forward(self, patches_ND: Tensor) -> Tensor:
        weight_HD = self.proj.weight.flatten(1)
        return linear(patches_ND.to(weight_HD.dtype), weight_HD, self.proj.bias)


def make_lean(model: Any, attention: type["LeanAttention"], norm: type[nn.Module]) -> None:
    """Put the lean modules into a model in place; weights are shared, not copied.

    ``attention``: the family's, based on the published class of the decoder's layers. ``norm``: the published class
    whose every module becomes a ``LeanNorm``. MLPs of the tower stay (see ``make_mlps_lean``).
    """
    layers = model.model.language_model.layers
    model.model.visual.patch_embed = LeanPatchEmbedding(model.model.visual.patch_embed)
    make_mlps_lean(layers)
    for layer in layers:
        layer.self_attn.__class__ = attention  # the same module but for its forward
    for parent in list(model.modules()):
        for name, module in parent.named_children():
            if isinstance(module, norm):
                setattr(parent, name, LeanNorm(module))


def make_mlps_lean(layers: Iterable[Any]) -> None:
    """A ``LeanMLP`` in the place of every layer's gated MLP."""
    for layer in layers:
        layer.mlp = LeanMLP(layer.mlp)
