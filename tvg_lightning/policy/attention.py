"""Attention with a log-sum-exp, so that two sets of keys can be attended to one after the other and merged exactly.

Which token sees which is said by a ``RowAttention`` that is handed to the language model with the row
(``split_attention`` for the loss, ``kv_cache`` for the rollout). Shape suffixes: K key heads, g query heads of
each, N tokens of a row, T queries, S keys, D head dimension.
"""

from typing import Protocol

import torch
from torch import Tensor

Attended = tuple[Tensor, Tensor]  # what was found (K, T, g, D), and its log-sum-exp (K, T, g) in float32


class RowAttention(Protocol):
    """Attention in a row without batch dimension; it decides which token sees which.

    One object goes through all layers of a pass and keeps what it must by the layer's number; layers that do something
    else do not ask it. A recurrent layer would ask such an object for another method (docs/backbones.md).
    """

    def attend(self, layer: int, query_KNgD: Tensor, key_KND: Tensor, value_KND: Tensor, scaling: float) -> Tensor:
        """The output of every query, (K, N, g, D)."""


def attend(
    query_KTgD: Tensor,
    key_KSD: Tensor,
    value_KSD: Tensor,
    scaling: float,
    causal: bool = False,
    seen_KS: Tensor | None = None,
) -> Attended:
    """softmax(q k' * scaling) v and the log-sum-exp of q k' * scaling, without gradient.

    Causal: query t sees keys 0 to t. ``seen_KS``: only keys that are True are there at all. On a CPU in blocks, so that
    no (T, S) matrix exists; elsewhere in plain steps.
    """
    if query_KTgD.device.type != "cpu":
        return attend_in_steps(query_KTgD, key_KSD, value_KSD, scaling, causal, seen_KS)
    found_KgTD, lse_KgT = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query_KTgD.transpose(1, 2),
        *_to_heads(query_KTgD, key_KSD, value_KSD),
        is_causal=causal,
        attn_mask=_as_mask(seen_KS, query_KTgD.dtype),
        scale=scaling,
    )
    return found_KgTD.transpose(1, 2), lse_KgT.transpose(1, 2)


def attend_in_steps(
    query_KTgD: Tensor,
    key_KSD: Tensor,
    value_KSD: Tensor,
    scaling: float,
    causal: bool = False,
    seen_KS: Tensor | None = None,
) -> Attended:
    """``attend`` with public functions, for any device; scores in float32, as flash kernels have them."""
    with torch.autocast(query_KTgD.device.type, enabled=False):
        score_KgTS = query_KTgD.transpose(1, 2).float() @ key_KSD[:, None].transpose(2, 3).float() * scaling
    if causal:
        unseen_TS = torch.ones(score_KgTS.shape[2:], dtype=torch.bool, device=score_KgTS.device).triu(1)
        score_KgTS = score_KgTS.masked_fill(unseen_TS, float("-inf"))
    if seen_KS is not None:
        score_KgTS = score_KgTS.masked_fill(~seen_KS[:, None, None], float("-inf"))
    found_KgTD = score_KgTS.softmax(3).to(value_KSD.dtype) @ value_KSD[:, None]
    return found_KgTD.transpose(1, 2), score_KgTS.logsumexp(3).transpose(1, 2)


def attend_backward(
    grad_KTgD: Tensor,
    query_KTgD: Tensor,
    key_KSD: Tensor,
    value_KSD: Tensor,
    merged: Attended,
    scaling: float,
    causal: bool = False,
    seen_KS: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The share of these keys in the gradients of query, key and value; on a CPU.

    With p = exp(score - lse) and dscore = p (dfound · v - dfound · found), the share of a part of the keys is what
    the formula says of them when ``merged`` holds the result and the log-sum-exp over ALL keys.
    """
    grad_query_KgTD, grad_key_KgSD, grad_value_KgSD = (
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            grad_KTgD.transpose(1, 2),
            query_KTgD.transpose(1, 2),
            *_to_heads(query_KTgD, key_KSD, value_KSD),
            merged[0].transpose(1, 2),
            merged[1].transpose(1, 2),
            dropout_p=0.0,
            is_causal=causal,
            attn_mask=_as_mask(seen_KS, query_KTgD.dtype),
            scale=scaling,
        )
    )
    return grad_query_KgTD.transpose(1, 2), grad_key_KgSD.sum(1), grad_value_KgSD.sum(1)


def merge(one: Attended, other: Attended) -> Attended:
    """Attention over two sets of keys, from attention over each."""
    return merge_found(one, other), torch.logaddexp(one[1], other[1])


def merge_found(one: Attended, other: Attended) -> Tensor:
    """The output of attention over both sets (K, T, g, D): each result weighed by its set's share of the sum."""
    share_KTg1 = (one[1] - other[1]).sigmoid()[..., None]
    found_KTgD = torch.lerp(other[0].to(share_KTg1.dtype), one[0].to(share_KTg1.dtype), share_KTg1)
    return found_KTgD.to(one[0].dtype)


def _as_mask(seen_KS: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """The mask to add to the scores (K, 1, 1, S)."""
    if seen_KS is None:
        return None
    return torch.zeros(seen_KS.shape, dtype=dtype).masked_fill(~seen_KS, float("-inf"))[:, None, None]


def _to_heads(query_KTgD: Tensor, *keys_and_values: Tensor) -> list[Tensor]:
    """Every query head its key head, as views: (K, S, D) -> (K, g, S, D)."""
    return [x_KSD[:, None].expand(-1, query_KTgD.shape[2], -1, -1) for x_KSD in keys_and_values]
