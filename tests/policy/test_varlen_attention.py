"""Split attention as a GPU does it: bookkeeping, merging and gradients, with plain kernels in place of the GPU's."""

from collections.abc import Callable

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.policy.test_split_attention import SCALING, dense, groups, made_up, repeated, with_gradients
from tvg_lightning.policy.split_attention import RowLayout, row_layout
from tvg_lightning.policy.varlen_attention import VarlenKernel, kernel_here, kernel_name, varlen_attention
from tvg_lightning.policy.varlen_kernels import PlainKernel

CPU = torch.device("cpu")


def varlen(kernel: type[VarlenKernel]) -> Callable[[Tensor, Tensor, Tensor, RowLayout], Tensor]:
    def attention(query: Tensor, key: Tensor, value: Tensor, layout: RowLayout) -> Tensor:
        return varlen_attention(query, key, value, layout.varlen_parts(CPU), SCALING, kernel)

    return attention


@settings(max_examples=30, deadline=None)
@given(groups=groups)
def test_equals_the_mask(groups: list[tuple[int, list[int]]]) -> None:
    layout = row_layout([length for length, _ in groups], [lengths for _, lengths in groups])
    inputs = made_up(sum(length + sum(lengths) for length, lengths in groups))
    found = with_gradients(varlen(PlainKernel), layout, inputs)
    for ours, reference in zip(found, with_gradients(dense, layout, inputs), strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-10)


def test_prompts_alone_are_causal() -> None:
    layout = row_layout([3, 2])
    query, key, value, _ = made_up(5)
    torch.testing.assert_close(
        varlen(PlainKernel)(query, key, value, layout), dense(query, key, value, layout), rtol=1e-12, atol=1e-12
    )


def test_the_reference_is_the_same_in_float32() -> None:
    layout = row_layout([40, 3], [[9, 3, 30], [1, 1, 2]])
    exact = with_gradients(dense, layout, made_up(89))
    for attention in (varlen(PlainKernel), repeated):
        for ours, reference in zip(with_gradients(attention, layout, made_up(89, torch.float32)), exact, strict=True):
            assert (ours - reference).abs().max() <= 1e-5 * reference.abs().max()


class RoundingKernel(PlainKernel):
    """Computes in float32 and gives 16 bits, as the GPU's do."""

    @staticmethod
    def forward(query, key, value, part, scaling):  # type: ignore[no-untyped-def]
        found, lse = PlainKernel.forward(query.float(), key.float(), value.float(), part, scaling)
        return found.to(query.dtype), lse

    @staticmethod
    def backward(grad, query, key, value, merged, part, scaling):  # type: ignore[no-untyped-def]
        merged = (merged[0].float(), merged[1])
        shares = PlainKernel.backward(grad.float(), query.float(), key.float(), value.float(), merged, part, scaling)
        return tuple(share.to(query.dtype) for share in shares)


def test_bfloat16_stays_within_its_rounding() -> None:
    """Log-sum-exps stay in float32, and so do the sums of shares: what is left is the rounding of numbers to 8 bits."""
    layout = row_layout([40], [[9, 3, 30]])
    inputs = made_up(82, torch.bfloat16)
    exact = with_gradients(dense, layout, tuple(x.double() for x in inputs))
    for ours, reference in zip(with_gradients(varlen(RoundingKernel), layout, inputs), exact, strict=True):
        assert ours.dtype == torch.bfloat16
        assert (ours - reference).abs().max() <= 1e-2 * reference.abs().max()


def test_nothing_of_the_row_is_copied() -> None:
    """Kernels get the row's own memory: keys of a prompt once, whatever the number of completions."""
    seen: list[tuple[int, ...]] = []

    class Watching(PlainKernel):
        @staticmethod
        def forward(query, key, value, part, scaling):  # type: ignore[no-untyped-def]
            seen.append(tuple(x.untyped_storage().data_ptr() for x in (query, key, value)))
            return PlainKernel.forward(query, key, value, part, scaling)

    layout = row_layout([5, 3], [[2, 1], [1, 2]])
    row_NKgD, key_NKD, value_NKD = (x.transpose(0, 1).contiguous() for x in made_up(14)[:3])
    varlen(Watching)(row_NKgD.transpose(0, 1), key_NKD.transpose(0, 1), value_NKD.transpose(0, 1), layout)
    rows = tuple(x.untyped_storage().data_ptr() for x in (row_NKgD, key_NKD, value_NKD))
    assert seen == [rows] * 3
    assert layout.varlen_parts(CPU) is layout.varlen_parts(CPU)  # made once for all layers


def test_the_loop_is_for_what_is_no_gpu() -> None:
    assert kernel_here(torch.empty(1, 1, 1, 8)) == "loop"


@given(st.sampled_from([torch.bfloat16, torch.float16, torch.float32]), st.integers(1, 512))
def test_every_head_dimension_has_a_kernel(dtype: torch.dtype, head_dim: int) -> None:
    name = kernel_name(dtype, head_dim, (9, 0), has_flash=True)
    assert (name == "flex") == (head_dim % 8 != 0)
    assert (name == "flash") == (dtype != torch.float32 and head_dim % 8 == 0 and head_dim <= 192)
    assert kernel_name(dtype, head_dim, (9, 0), has_flash=False) != "flash"
    assert kernel_name(torch.bfloat16, head_dim, (7, 5), has_flash=True) == "flex"
