"""Attention in a row of prompts and completions, without paying for those that are blind to each other.

Three parts: every prompt causally over itself; all completions of a prompt over that prompt, whose keys are
stored once; every completion causally over itself. The last two are merged by their log-sum-exps. A prompt with a
single completion is one causal sequence. Sequences of about one length go together. That is the way of a CPU; a GPU
has kernels that take sequences of any length as they lie in the row (``varlen_attention``). Shape suffixes as in
``attention`` and ``ragged_index``; B prompts, R = B * G completions, C longest completion.
"""

from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention

from tvg_lightning.policy.attention import attend, attend_backward, merge
from tvg_lightning.policy.flex_row import FlexRow, flex_row
from tvg_lightning.policy.ragged_index import RaggedIndex, alike
from tvg_lightning.policy.varlen_attention import VarlenPart, kernel_here, varlen_attention, varlen_parts
from tvg_lightning.policy.varlen_kernels import KERNELS


@dataclass(frozen=True, slots=True)
class Part:
    """Queries, and the keys that they see: all of their own set of keys, or, where causal, those up to themselves."""

    queries: RaggedIndex
    keys: RaggedIndex
    causal: bool
    adds: bool = False  # to what another part has found for the same queries

    def seen_by(self, num_K: int) -> Tensor | None:
        """True for real keys (K * P, S); None where all are, or where padding is behind every query."""
        return None if self.causal else self.keys.real(num_K)


@dataclass(frozen=True, slots=True)
class RowLayout:
    """The order of tokens in a row: prompt 1 to B, then the completions of prompt 1, …, of prompt B.

    >>> layout = row_layout([5, 3], [[2, 1], [1, 2]])
    >>> layout.prompts, layout.answers
    ((slice(0, 5, None), slice(5, 8, None)), (slice(8, 11, None), slice(11, 14, None)))
    >>> layout.completions
    (slice(8, 10, None), slice(10, 11, None), slice(11, 12, None), slice(12, 14, None))
    """

    prompts: tuple[slice, ...]
    answers: tuple[slice, ...]  # all completions of one prompt; empty while there are none
    completions: tuple[slice, ...]
    batches: tuple[tuple[int, ...], ...]  # prompts of about one length, by number
    parts: tuple[Part, ...]
    # what the layers of a model share on a GPU, made by the first of them
    _on_device: "dict[str, Any]" = field(default_factory=dict, compare=False, repr=False)

    def attend(self, layer: int, query_KNgD: Tensor, key_KND: Tensor, value_KND: Tensor, scaling: float) -> Tensor:
        if query_KNgD.device.type == "cpu":
            return _SplitAttention.apply(query_KNgD, key_KND, value_KND, self, scaling)
        name = kernel_here(query_KNgD)
        if name == "loop":
            return repeated_attention(query_KNgD, key_KND, value_KND, self, scaling)
        if name == "flex":
            return self.flex_row(query_KNgD.device).attend(query_KNgD, key_KND, value_KND, scaling)
        parts = self.varlen_parts(query_KNgD.device)
        return varlen_attention(query_KNgD, key_KND, value_KND, parts, scaling, KERNELS[name])

    def varlen_parts(self, device: torch.device) -> tuple[VarlenPart, ...]:
        """The same parts as sequences of any length, on a device."""
        key = f"parts {device}"
        if key not in self._on_device:
            self._on_device[key] = varlen_parts(self.prompts, self.answers, self.completions, device)
        parts: tuple[VarlenPart, ...] = self._on_device[key]
        return parts

    def flex_row(self, device: torch.device) -> FlexRow:
        """The same parts as a mask by blocks, on a device."""
        key = f"mask {device}"
        if key not in self._on_device:
            self._on_device[key] = flex_row(self.prompts, self.answers, self.completions, device)
        row: FlexRow = self._on_device[key]
        return row


def row_layout(prompt_lengths: list[int], completion_lengths: list[list[int]] | None = None) -> RowLayout:
    """Lay out prompts of these lengths and their completions; without completions for a rollout."""
    groups = completion_lengths or [[] for _ in prompt_lengths]
    flat = [length for group in groups for length in group]
    assert all(length > 0 for length in (*prompt_lengths, *flat)), "every prompt and completion has a token"
    prompts = _slices(prompt_lengths, 0)
    answers = _slices([sum(group) for group in groups], sum(prompt_lengths))
    completions = _slices(flat, sum(prompt_lengths))
    if all(len(group) == 1 for group in groups):
        whole = [[*_range(prompt), *_range(own)] for prompt, own in zip(prompts, completions, strict=True)]
        batches = alike([len(tokens) for tokens in whole], [0 for _ in whole])
        parts = [_causal([whole[b] for b in batch]) for batch in batches]
    else:
        batches = alike(prompt_lengths, [sum(group) for group in groups])
        parts = [_causal([_range(prompts[b]) for b in batch]) for batch in batches]
        if completions:
            for batch in batches:
                asked, known = ([_range(slices[b]) for b in batch] for slices in (answers, prompts))
                parts.append(Part(RaggedIndex.of(asked), RaggedIndex.of(known), causal=False))
            parts.append(_causal([_range(own) for own in completions], adds=True))
    return RowLayout(prompts, answers, completions, tuple(map(tuple, batches)), tuple(parts))


def _causal(sequences: list[Any], adds: bool = False) -> Part:
    index = RaggedIndex.of(sequences)
    return Part(index, index, causal=True, adds=adds)


def _range(part: slice) -> range:
    return range(part.start, part.stop)


def _slices(lengths: list[int], start: int) -> tuple[slice, ...]:
    return tuple(slice(start + end - n, start + end) for n, end in zip(lengths, accumulate(lengths), strict=True))


class _SplitAttention(torch.autograd.Function):
    """The parts one after the other; the backward pass goes through the same parts with the merged result."""

    @staticmethod
    def forward(
        ctx: Any, query_KNgD: Tensor, key_KND: Tensor, value_KND: Tensor, layout: RowLayout, scaling: float
    ) -> Tensor:
        num_K, num_N, num_g, num_D = query_KNgD.shape
        # token by token in memory, as the projection that follows reads it
        found_KNgD = query_KNgD.new_empty(num_N, num_K, num_g, num_D).transpose(0, 1)
        lse_KNg = torch.empty(num_K, num_N, num_g, dtype=torch.promote_types(query_KNgD.dtype, torch.float32))
        for part in layout.parts:
            queries, keys = part.queries, part.keys
            found, lse = attend(
                queries.batch(query_KNgD), keys.batch(key_KND), keys.batch(value_KND), scaling,
                part.causal, part.seen_by(num_K),
            )  # fmt: skip
            now = queries.flat(found), queries.flat(lse)
            if part.adds:
                now = merge((queries.of_row(found_KNgD), queries.of_row(lse_KNg)), now)
            queries.put(now[0], found_KNgD)
            queries.put(now[1], lse_KNg)
        ctx.save_for_backward(query_KNgD, key_KND, value_KND, found_KNgD, lse_KNg)
        ctx.layout, ctx.scaling = layout, scaling
        return found_KNgD

    @staticmethod
    def backward(ctx: Any, grad_KNgD: Tensor) -> tuple[Tensor | None, ...]:
        query_KNgD, key_KND, value_KND, found_KNgD, lse_KNg = ctx.saved_tensors
        grads = [torch.zeros_like(x) for x in (query_KNgD, key_KND, value_KND)]
        for part in ctx.layout.parts:
            queries, keys = part.queries, part.keys
            lse, is_real = queries.batch(lse_KNg), queries.real(len(key_KND))
            if is_real is not None:  # a log-sum-exp of infinity gives every key of a padded query the weight 0
                lse = lse.masked_fill(~is_real[..., None], float("inf"))
            shares = attend_backward(
                queries.batch(grad_KNgD), queries.batch(query_KNgD), keys.batch(key_KND), keys.batch(value_KND),
                (queries.batch(found_KNgD), lse), ctx.scaling, part.causal, part.seen_by(len(key_KND)),
            )  # fmt: skip
            for grad, index, share in zip(grads, (queries, keys, keys), shares, strict=True):
                index.put(index.of_row(grad) + index.flat(share), grad)
        return *grads, None, None


def repeated_attention(
    query_KNgD: Tensor, key_KND: Tensor, value_KND: Tensor, layout: RowLayout, scaling: float
) -> Tensor:
    """Split attention with public functions only, for any device: the reference of the GPU's kernels.

    Completion by completion, each with a copy of its prompt's keys.
    """

    def over(queries: slice, *keys: slice) -> Tensor:
        key_KSD, value_KSD = (torch.cat([x[:, part] for part in keys], dim=1) for x in (key_KND, value_KND))
        query_1HTD = query_KNgD[:, queries].transpose(1, 2).flatten(0, 1)[None]
        seen = causal_lower_right(query_1HTD.shape[2], key_KSD.shape[1])
        found_1HTD = scaled_dot_product_attention(
            query_1HTD, key_KSD[None], value_KSD[None], attn_mask=seen, scale=scaling, enable_gqa=True
        )
        return found_1HTD[0].unflatten(0, query_KNgD.shape[::2]).transpose(1, 2)

    num_G = len(layout.completions) // len(layout.prompts)
    shared = [prompt for prompt in layout.prompts for _ in range(num_G)]
    found = [over(prompt, prompt) for prompt in layout.prompts]
    found += [over(own, prompt, own) for own, prompt in zip(layout.completions, shared, strict=True)]
    return torch.cat(found, dim=1)


def dense_mask(layout: RowLayout) -> Tensor:
    """Split attention as a mask (N, N), bool, query by key: quadratic in the row, the reference of the tests."""
    num_N = max(part.stop for part in (*layout.prompts, *layout.completions))
    seen_NN = torch.zeros(num_N, num_N, dtype=torch.bool)
    for prompt in layout.prompts:
        seen_NN[prompt, prompt] = True
    for answers, prompt in zip(layout.answers, layout.prompts, strict=True):
        seen_NN[answers, prompt] = True
    for completion in layout.completions:
        seen_NN[completion, completion] = True
    return seen_NN.tril()


@dataclass(frozen=True, slots=True)
class DenseAttention:
    """Attention through a mask (N, N), bool, query by key."""

    seen_NN: Tensor

    def attend(self, layer: int, query_KNgD: Tensor, key_KND: Tensor, value_KND: Tensor, scaling: float) -> Tensor:
        query_KgND = query_KNgD.transpose(1, 2)
        key_KgND, value_KgND = (x[:, None].expand(-1, query_KgND.shape[1], -1, -1) for x in (key_KND, value_KND))
        found_KgND = scaled_dot_product_attention(
            query_KgND, key_KgND, value_KgND, attn_mask=self.seen_NN, scale=scaling
        )
        return found_KgND.transpose(1, 2)
