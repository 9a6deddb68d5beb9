"""Weights of completions that another engine sampled than the policy that learns. Shapes: N completions, T tokens."""

import math
from typing import Literal

from torch import Tensor

ImportanceMode = Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]


def importance_weights(
    gap_NT: Tensor, mode: ImportanceMode, cap: float | None = 3.0, floor: float | None = None
) -> tuple[Tensor, Tensor]:
    """The weights, and True where a bound made one differ from its ratio; (N, T) of tokens, (N, 1) of sequences.

    ``gap_NT`` is ``logp_old - logp_sampled`` (nats): what the loss side gave a token before any update, less what the
    engine gave it that sampled. NaN: the engine did not sample the token, or does not know; it counts as 0. The ratio
    is ``exp(gap)`` of a token, or ``exp`` of the sum over a completion's tokens. "truncate" holds it within
    [floor, cap], "mask" makes it 0 outside; None bounds nothing. 1: the engine is the policy. No gradient.

    These are TRL 1.16's ``vllm_importance_sampling_mode``, ``_clip_max`` (formerly ``_cap``) and ``_clip_min``, with
    their values; verl's ``rollout_is_level`` token and sequence, ``rollout_is_mode`` truncate and mask,
    ``rollout_is_threshold`` and ``_lower`` (later ``rollout_is`` to truncate, ``rollout_rs`` to mask). As in TRL,
    what is masked still counts in the loss's denominator.

    >>> import torch
    >>> gap = torch.tensor([[2.0, 2.0, float("nan")]]).log()
    >>> [importance_weights(gap, mode)[0].tolist() for mode in ("token_truncate", "sequence_truncate", "sequence_mask")]
    [[[2.0, 2.0, 1.0]], [[3.0]], [[0.0]]]
    """
    gap_NT = gap_NT.detach()
    gap_NT = gap_NT.masked_fill(gap_NT.isnan(), 0.0)
    is_of_sequences = mode in ("sequence_truncate", "sequence_mask")
    ratio_NX = (gap_NT.sum(dim=1, keepdim=True) if is_of_sequences else gap_NT).exp()
    low, high = -math.inf if floor is None else floor, math.inf if cap is None else cap
    is_cut_NX = (ratio_NX < low) | (ratio_NX > high)
    if mode in ("token_truncate", "sequence_truncate"):
        return ratio_NX.clamp(low, high), is_cut_NX
    assert mode in ("token_mask", "sequence_mask"), mode
    return ratio_NX.masked_fill(is_cut_NX, 0.0), is_cut_NX
