"""Attention in a row of prompts and completions, without paying for those that are blind to each other.

Three parts: every prompt causally over itself; all completions of a prompt over that prompt, whose keys are
stored once; every completion causally over itself. The last two are merged by their log-sum-exps. Shape
suffixes as in ``attention``; B prompts, R = B * G completions, C longest completion, M tokens of completions,
Q = K * R.
"""

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention

from tvg_lightning.policy.attention import attend, attend_backward, merge


@dataclass(frozen=True, slots=True)
class RowLayout:
    """Where the tokens of a row stand: prompt 1 to B, then the completions of prompt 1, …, of prompt B.

    >>> layout = row_layout([5, 3], [[2, 1], [1, 2]])
    >>> layout.prompts, layout.answers
    ((slice(0, 5, None), slice(5, 8, None)), (slice(8, 11, None), slice(11, 14, None)))
    >>> layout.completions
    (slice(8, 10, None), slice(10, 11, None), slice(11, 12, None), slice(12, 14, None))
    """

    prompts: tuple[slice, ...]
    answers: tuple[slice, ...]  # all completions of one prompt; empty while there are none
    completions: tuple[slice, ...]
    padded_RC: Tensor  # places of the completions' tokens, counted from the first of them; anything where padded
    real_RC: Tensor  # bool, False where padded

    def attend(self, layer: int, query_KNgD: Tensor, key_KND: Tensor, value_KND: Tensor, scaling: float) -> Tensor:
        if query_KNgD.device.type == "cpu":
            return _SplitAttention.apply(query_KNgD, key_KND, value_KND, self, scaling)
        return repeated_attention(query_KNgD, key_KND, value_KND, self, scaling)

    @property
    def written(self) -> slice:
        """All that is not prompt."""
        return slice(self.prompts[-1].stop, None)

    def over_prompts(self) -> list[tuple[slice, slice, bool]]:
        """(queries, keys, causal) of every prompt over itself and of its completions over it."""
        parts = [(prompt, prompt, True) for prompt in self.prompts]
        if self.completions:
            parts += [(answers, prompt, False) for answers, prompt in zip(self.answers, self.prompts, strict=True)]
        return parts

    def pad(self, x_KN: Tensor) -> Tensor:
        """(K, N, …) -> (K * R, C, …): every completion of the row as a row of its own."""
        return x_KN[:, self.written][:, self.padded_RC].flatten(0, 1)

    def unpad(self, x_QC: Tensor) -> Tensor:
        """(K * R, C, …) -> (K, M, …): the completions one behind the other, as in the row."""
        return x_QC.unflatten(0, (-1, len(self.real_RC)))[:, self.real_RC]

    def to(self, device: torch.device) -> "RowLayout":
        return replace(self, padded_RC=self.padded_RC.to(device), real_RC=self.real_RC.to(device))


def row_layout(prompt_lengths: list[int], completion_lengths: list[list[int]] | None = None) -> RowLayout:
    """Lay out prompts of these lengths and their completions; without completions for a rollout."""
    groups = completion_lengths or [[] for _ in prompt_lengths]
    flat = [length for group in groups for length in group]
    assert all(length > 0 for length in (*prompt_lengths, *flat)), "every prompt and completion has a token"
    order_C = torch.arange(max(flat, default=0))
    length_R1 = torch.tensor(flat, dtype=torch.long)[:, None]
    first_R1 = length_R1.cumsum(0) - length_R1
    real_RC = order_C < length_R1
    return RowLayout(
        _slices(prompt_lengths, 0),
        _slices([sum(group) for group in groups], sum(prompt_lengths)),
        _slices(flat, sum(prompt_lengths)),
        torch.where(real_RC, first_R1 + order_C, first_R1),
        real_RC,
    )


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
        for queries, keys, causal in layout.over_prompts():
            found_KNgD[:, queries], lse_KNg[:, queries] = attend(
                query_KNgD[:, queries], key_KND[:, keys], value_KND[:, keys], scaling, causal
            )
        if layout.completions:
            written = layout.written
            found, lse = attend(
                layout.pad(query_KNgD), layout.pad(key_KND), layout.pad(value_KND), scaling, causal=True
            )
            over_themselves = layout.unpad(found), layout.unpad(lse)
            found_KNgD[:, written], lse_KNg[:, written] = merge(
                (found_KNgD[:, written], lse_KNg[:, written]), over_themselves
            )
        ctx.save_for_backward(query_KNgD, key_KND, value_KND, found_KNgD, lse_KNg)
        ctx.layout, ctx.scaling = layout, scaling
        return found_KNgD

    @staticmethod
    def backward(ctx: Any, grad_KNgD: Tensor) -> tuple[Tensor | None, ...]:
        query_KNgD, key_KND, value_KND, found_KNgD, lse_KNg = ctx.saved_tensors
        layout: RowLayout = ctx.layout
        grads = [torch.zeros_like(x) for x in (query_KNgD, key_KND, value_KND)]
        for queries, keys, causal in layout.over_prompts():
            shares = attend_backward(
                grad_KNgD[:, queries],
                query_KNgD[:, queries],
                key_KND[:, keys],
                value_KND[:, keys],
                (found_KNgD[:, queries], lse_KNg[:, queries]),
                ctx.scaling,
                causal,
            )
            for grad, places, share in zip(grads, (queries, keys, keys), shares, strict=True):
                grad[:, places] += share
        if layout.completions:
            # a log-sum-exp of infinity gives every key of a padded query the weight 0
            is_padded_QC1 = ~layout.real_RC.repeat(len(key_KND), 1)[..., None]
            shares = attend_backward(
                layout.pad(grad_KNgD),
                layout.pad(query_KNgD),
                layout.pad(key_KND),
                layout.pad(value_KND),
                (layout.pad(found_KNgD), layout.pad(lse_KNg).masked_fill(is_padded_QC1, float("inf"))),
                ctx.scaling,
                causal=True,
            )
            for grad, share in zip(grads, shares, strict=True):
                grad[:, layout.written] += layout.unpad(share)
        return *grads, None, None


def repeated_attention(
    query_KNgD: Tensor, key_KND: Tensor, value_KND: Tensor, layout: RowLayout, scaling: float
) -> Tensor:
    """The same with public functions only, for any device: each completion gets a copy of its prompt's keys."""

    def over(queries: slice, *keys: slice) -> Tensor:
        key_KSD, value_KSD = (torch.cat([x[:, places] for places in keys], dim=1) for x in (key_KND, value_KND))
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
    """The same as a mask (1, 1, N, N), bool, query by key: quadratic in the row, the reference of the tests."""
    num_N = max(places.stop for places in (*layout.prompts, *layout.completions))
    may_attend_NN = torch.zeros(num_N, num_N, dtype=torch.bool)
    for prompt in layout.prompts:
        may_attend_NN[prompt, prompt] = True
    for answers, prompt in zip(layout.answers, layout.prompts, strict=True):
        may_attend_NN[answers, prompt] = True
    for completion in layout.completions:
        may_attend_NN[completion, completion] = True
    return may_attend_NN.tril()[None, None]
