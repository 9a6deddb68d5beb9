"""From hidden states to the log-probabilities of tokens, and to new tokens.

Temperature and suppressed tokens belong to the policy, not to the sampler alone: both enter here, so the
rollout and the loss speak of the same distribution. Shape suffixes: N tokens, H hidden, V vocabulary.
"""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tvg_lightning.policy.settings import SamplingSettings


def policy_logits(hidden_NH: Tensor, head_VH: Tensor, suppressed: Tensor, temperature: float) -> Tensor:
    """Float32 logits of the distribution that is sampled: temperature applied, suppressed ids impossible. (N, V)"""
    logits_NV = (hidden_NH @ head_VH.T).float()
    if temperature > 0:
        logits_NV = logits_NV.div_(temperature)  # in place: there is one tensor of this size, not three
    return logits_NV.index_fill_(1, suppressed, float("-inf"))


def token_logp(
    hidden_NH: Tensor, head_VH: Tensor, target_N: Tensor, suppressed: Tensor, temperature: float, chunk: int
) -> Tensor:
    """Log-probability of each target, float32 (N,); at most ``chunk`` rows of logits exist at a time, also backward."""

    def of_chunk(hidden_nH: Tensor, target_n: Tensor) -> Tensor:
        logits_nV = policy_logits(hidden_nH, head_VH, suppressed, temperature)
        return logits_nV.gather(1, target_n[:, None])[:, 0] - logits_nV.logsumexp(1)

    if len(target_N) <= chunk:
        return of_chunk(hidden_NH, target_N)
    parts = [
        checkpoint(of_chunk, hidden_NH[i : i + chunk], target_N[i : i + chunk], use_reentrant=False)
        for i in range(0, len(target_N), chunk)
    ]
    return torch.cat(parts)


def choose_tokens(logits_NV: Tensor, sampling: SamplingSettings, uniform_N: Tensor | None) -> Tensor:
    """Draw one token a row, or take the likeliest where temperature is 0. Returns ids (N,).

    Drawn by inverting the cumulative distribution at ``uniform_N``, numbers in [0, 1): what a row becomes
    depends on its own number alone, never on its neighbours in the batch.
    """
    if sampling.temperature == 0:
        return logits_NV.argmax(1)
    assert uniform_N is not None, "sampling needs a number for every row"
    cumulative_NV = _truncated(logits_NV, sampling).double().softmax(1).cumsum(1)
    threshold_N1 = uniform_N.to(cumulative_NV)[:, None] * cumulative_NV[:, -1:]
    return torch.searchsorted(cumulative_NV, threshold_N1, right=True)[:, 0]


def _truncated(logits_NV: Tensor, sampling: SamplingSettings) -> Tensor:
    """Keep the top_k likeliest tokens, and of those the fewest that together have a mass of top_p."""
    if sampling.top_k:
        kth_N1 = logits_NV.topk(min(sampling.top_k, logits_NV.shape[1]), dim=1).values[:, -1:]
        logits_NV = logits_NV.masked_fill(logits_NV < kth_N1, float("-inf"))
    if sampling.top_p < 1:
        sorted_NV, order_NV = logits_NV.sort(dim=1, descending=True)
        mass_before_NV = sorted_NV.softmax(1).cumsum(1) - sorted_NV.softmax(1)
        dropped_NV = torch.zeros_like(order_NV, dtype=torch.bool).scatter(1, order_NV, mass_before_NV >= sampling.top_p)
        logits_NV = logits_NV.masked_fill(dropped_NV, float("-inf"))
    return logits_NV
