"""The GPU's kernels, without numbers: PyTorch checks what they are given and says what they would return.

What we do around the efficient kernel's operators is tested with operators in plain steps in their place.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.policy.test_split_attention import SCALING, dense, made_up, with_gradients
from tvg_lightning.policy.split_attention import RowLayout, row_layout
from tvg_lightning.policy.varlen_attention import VarlenPart, varlen_attention
from tvg_lightning.policy.varlen_kernels import EfficientKernel, FlashKernel, PlainKernel


def fake_row(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """A row as the language model makes it, without numbers: 14 tokens, 2 key heads of 8 query heads."""
    query_NKgD = torch.empty(14, 2, 8, 128, dtype=dtype, device="meta", requires_grad=True)
    key, value = (torch.empty(14, 2, 128, dtype=dtype, device="meta", requires_grad=True) for _ in range(2))
    return query_NKgD, key, value


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_flash_kernels_take_what_they_are_given(dtype: torch.dtype) -> None:
    layout = row_layout([5, 3], [[2, 1], [1, 2]])
    inputs = fake_row(dtype)
    query_KNgD, key_KND, value_KND = (x.transpose(0, 1) for x in inputs)
    parts = layout.varlen_parts(torch.device("meta"))
    found = varlen_attention(query_KNgD, key_KND, value_KND, parts, 0.1, FlashKernel)
    assert found.shape == (2, 14, 8, 128) and found.dtype == dtype
    assert found.transpose(0, 1).flatten(1).is_contiguous()
    grads = torch.autograd.grad(found, inputs, torch.empty_like(found))
    for grad, given_ in zip(grads, inputs, strict=True):
        assert grad.shape == given_.shape and grad.dtype == dtype


def test_the_efficient_kernel_takes_what_it_is_given() -> None:
    """Forward only: the shape function of its backward operator has another signature than the operator (2.13)."""
    query_NKgD, key, value = fake_row(torch.float32)
    part = row_layout([5, 3], [[2, 1], [1, 2]]).varlen_parts(torch.device("meta"))[1]
    query = query_NKgD.detach().flatten(1, 2)[part.queries]
    found, lse = EfficientKernel.forward(query, key.detach()[part.keys], value.detach()[part.keys], part, 0.1)
    assert found.shape == (6, 16, 128) and lse.shape == (16, 6) and lse.dtype == torch.float32


class Stand:
    """The two operators of the efficient kernel, in plain steps, with their padded log-sum-exps."""

    @staticmethod
    def part_of(ends_q: Tensor, ends_k: Tensor, longest_q: int, longest_k: int, mask_type: int) -> VarlenPart:
        return VarlenPart(slice(0), slice(0), ends_q, ends_k, longest_q, longest_k, mask_type == 1)

    @staticmethod
    def places(ends: Tensor) -> tuple[Tensor, Tensor]:
        pairs = [(p, t) for p, n in enumerate(ends.diff().tolist()) for t in range(n)]
        sequence, order = torch.tensor(pairs).T
        return sequence, order

    @classmethod
    def forward(cls, *given: Any, scale: float) -> tuple[Any, ...]:
        query, key, value, bias, ends_q, ends_k, max_q, max_k, _, mask, wants_lse = given
        assert query.shape[2] == key.shape[2] and query.stride(-1) == 1 and bias is None and wants_lse
        part = cls.part_of(ends_q, ends_k, max_q, max_k, mask)
        found, lse = PlainKernel.forward(query[0], key[0], value[0], part, scale)
        padded = lse.new_full((len(ends_q) - 1, len(lse), -(-max_q // 32) * 32), float("inf"))
        sequence, order = cls.places(ends_q)
        padded[sequence, :, order] = lse.T
        return found[None], padded, torch.tensor(0), torch.tensor(0), max_q, max_k

    @classmethod
    def backward(cls, *given: Any, scale: float) -> tuple[Any, ...]:
        grad, query, key, value, _, out, ends_q, ends_k, max_q, max_k, lse, _, _, _, mask, _ = given
        assert grad.is_contiguous() and out.is_contiguous() and lse.is_contiguous() and lse.shape[2] % 32 == 0
        sequence, order = cls.places(ends_q)
        merged = out[0], lse[sequence, :, order].T
        part = cls.part_of(ends_q, ends_k, max_q, max_k, mask)
        shares = PlainKernel.backward(grad[0], query[0], key[0], value[0], merged, part, scale)
        return *(share[None] for share in shares), None


def test_the_efficient_kernel_runs_once_a_query_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log-sum-exps come padded by sequence and go back so; shares in the gradient of a key are summed."""
    monkeypatch.setattr(torch.ops.aten, "_efficient_attention_forward", Stand.forward)
    monkeypatch.setattr(torch.ops.aten, "_efficient_attention_backward", Stand.backward)
    layout = row_layout([9, 3], [[2, 33], [1, 4]])
    exact = with_gradients(dense, layout, made_up(52))

    def efficient(query: Tensor, key: Tensor, value: Tensor, layout: RowLayout) -> Tensor:
        parts = layout.varlen_parts(torch.device("cpu"))
        return varlen_attention(query, key, value, parts, SCALING, EfficientKernel)

    found = with_gradients(efficient, layout, made_up(52, torch.float32))
    for ours, reference in zip(found, exact, strict=True):
        assert (ours - reference).abs().max() <= 1e-5 * reference.abs().max()
