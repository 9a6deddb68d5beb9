"""Attention in parts is attention through the mask: results and gradients, whatever the lengths."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tvg_lightning.policy import ragged_index
from tvg_lightning.policy.split_attention import RowLayout, dense_mask, repeated_attention, row_layout

SCALING = 0.4
Attention = Callable[[Tensor, Tensor, Tensor, RowLayout], Tensor]


def split(query: Tensor, key: Tensor, value: Tensor, layout: RowLayout) -> Tensor:
    return layout.attend(0, query, key, value, SCALING)


def repeated(query: Tensor, key: Tensor, value: Tensor, layout: RowLayout) -> Tensor:
    return repeated_attention(query, key, value, layout, SCALING)


def dense(query: Tensor, key: Tensor, value: Tensor, layout: RowLayout) -> Tensor:
    """Softmax over the whole row, spelled out."""
    score_KNgS = torch.einsum("kngd,ksd->kngs", query, key) * SCALING
    seen_1N1S = dense_mask(layout)[None, :, None]
    return torch.einsum("kngs,ksd->kngd", score_KNgS.masked_fill(~seen_1N1S, float("-inf")).softmax(3), value)


def made_up(num_N: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Query, key, value and a gradient for 2 key heads of 3 query heads each, dimension 4."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, num_N, 3, 4), (2, num_N, 4), (2, num_N, 4), (2, num_N, 3, 4))
    query, key, value, gradient = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return query.to(dtype), key.to(dtype), value.to(dtype), gradient.to(dtype)


def with_gradients(attention: Attention, layout: RowLayout, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    query, key, value = (x.clone().requires_grad_() for x in inputs[:3])
    found = attention(query, key, value, layout)
    return [found.detach(), *torch.autograd.grad(found, (query, key, value), inputs[3])]


groups = st.integers(1, 3).flatmap(
    lambda num_G: st.lists(
        st.tuples(st.integers(1, 9), st.lists(st.integers(1, 7), min_size=num_G, max_size=num_G)),
        min_size=1,
        max_size=3,
    )
)


@pytest.mark.parametrize("attention", [split, repeated])
@settings(max_examples=30, deadline=None)
@given(groups=groups)
def test_equals_the_mask(attention: Attention, groups: list[tuple[int, list[int]]]) -> None:
    layout = row_layout([length for length, _ in groups], [lengths for _, lengths in groups])
    inputs = made_up(sum(length + sum(lengths) for length, lengths in groups))
    found = with_gradients(attention, layout, inputs)
    for ours, reference in zip(found, with_gradients(dense, layout, inputs), strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("num_G", [1, 2])
def test_prompts_of_other_lengths_go_apart(num_G: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the allowance for small work: 9 and 8 tokens together, 3 by themselves, as their slice."""
    monkeypatch.setattr(ragged_index, "_A_CALL", 0)
    completions = [[2, 2], [1, 1], [3, 3]] if num_G == 2 else [[2], [1], [3]]
    layout = row_layout([9, 3, 8], completions)
    assert [set(batch) for batch in layout.batches] == [{1}, {0, 2}]
    assert (layout.parts[0].queries.one == slice(9, 12)) == (num_G == 2)
    inputs = made_up(20 + sum(map(sum, completions)))
    for ours, reference in zip(
        with_gradients(split, layout, inputs), with_gradients(dense, layout, inputs), strict=True
    ):
        torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-10)


def test_prompts_alone_are_causal() -> None:
    layout = row_layout([3, 2])
    query, key, value, _ = made_up(5)
    torch.testing.assert_close(split(query, key, value, layout), dense(query, key, value, layout))
    assert dense_mask(layout).sum() == 6 + 3


def test_long_scores_of_a_short_neighbour_leave_no_nan() -> None:
    """A padded query's scores can be far above the log-sum-exp that stands in its place."""
    layout = row_layout([2], [[1, 6]])
    query, key, value, gradient = made_up(9)
    inputs = (query * 200, key * 200, value, gradient)
    for ours, reference in zip(
        with_gradients(split, layout, inputs), with_gradients(dense, layout, inputs), strict=True
    ):
        torch.testing.assert_close(ours, reference)


def test_bfloat16_stays_within_its_rounding() -> None:
    """Parts are rounded to 8 bits before they are merged: 1 % of the largest number."""
    layout = row_layout([40], [[9, 3, 30]])
    exact = with_gradients(dense, layout, made_up(82))
    for ours, reference in zip(with_gradients(split, layout, made_up(82, torch.bfloat16)), exact, strict=True):
        assert ours.dtype == torch.bfloat16
        assert (ours - reference).abs().max() <= 0.02 * reference.abs().max()


def test_no_tensor_of_the_row_squared_is_kept() -> None:
    layout = row_layout([50], [[40, 40]])
    query, key, value, _ = (x.requires_grad_() for x in made_up(130))
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        split(query, key, value, layout)
    assert kept and max(kept) <= query.numel()
