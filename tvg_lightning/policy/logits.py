"""Log-probabilities of tokens, and new tokens, from hidden states.

Temperature and suppressed tokens belong to the policy, not to the sampler alone: both enter here, so the
rollout and the loss speak of the same distribution. Shape suffixes: N tokens, H hidden, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tvg_lightning.policy.settings import GenerationSettings


def policy_logits(product_NV: Tensor, suppressed: Tensor, temperature: float) -> Tensor:
    """Float32 logits of the distribution that is sampled: temperature applied, suppressed ids impossible. (N, V)

    ``product_NV``: of hidden states and head; its memory is used for what is returned.
    """
    logits_NV = product_NV.float()
    if temperature > 0:
        logits_NV = logits_NV.div_(temperature)  # in place: there is one tensor of this size, not three
    return logits_NV.index_fill_(1, suppressed, float("-inf"))


def token_logp(
    hidden_NH: Tensor, head_VH: Tensor, target_N: Tensor, suppressed: Tensor, temperature: float, chunk: int
) -> Tensor:
    """Log-probability of each target, float32 (N,); at most ``chunk`` rows of logits exist at a time, also backward.

    Under autocast in its type; the head's gradient is summed over the chunks in float32, whatever their number.
    """
    kind = hidden_NH.device.type
    if torch.is_autocast_enabled(kind):
        hidden_NH = hidden_NH.to(torch.get_autocast_dtype(kind))  # autocast does not reach into the backward pass
    logp_N: Tensor = _TokenLogp.apply(hidden_NH, head_VH, target_N, suppressed, temperature, chunk)
    return logp_N


class _TokenLogp(torch.autograd.Function):
    """Keeps one number a token; the backward pass computes the logits again and turns them into their gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NH: Tensor,
        head_VH: Tensor,
        target_N: Tensor,
        suppressed: Tensor,
        temperature: float,
        chunk: int,
    ) -> Tensor:
        cast_head_VH = head_VH.to(hidden_NH.dtype)
        chosen_N, lse_N = (torch.empty(len(hidden_NH), device=hidden_NH.device) for _ in range(2))
        for rows in _chunks(len(hidden_NH), chunk):
            logits_nV = policy_logits(hidden_NH[rows] @ cast_head_VH.T, suppressed, temperature)
            chosen_N[rows] = logits_nV.gather(1, target_N[rows, None])[:, 0]
            lse_N[rows] = logits_nV.logsumexp(1)
        ctx.save_for_backward(hidden_NH, head_VH, target_N, suppressed, lse_N)
        ctx.temperature, ctx.chunk = temperature, chunk
        return chosen_N - lse_N

    @staticmethod
    def backward(ctx: Any, grad_N: Tensor) -> tuple[Tensor | None, ...]:
        hidden_NH, head_VH, target_N, suppressed, lse_N = ctx.saved_tensors
        cast_head_VH, grad_hidden_NH = head_VH.to(hidden_NH.dtype), torch.empty_like(hidden_NH)
        grad_head_VH = torch.zeros_like(head_VH, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        for rows in _chunks(len(hidden_NH), ctx.chunk):
            grad_n1 = grad_N[rows, None]
            logits_nV = policy_logits(hidden_NH[rows] @ cast_head_VH.T, suppressed, ctx.temperature)
            probability_nV = logits_nV.sub_(lse_N[rows, None]).exp_()
            grad_nV = probability_nV.mul_(-grad_n1).scatter_add_(1, target_N[rows, None], grad_n1)
            grad_nV.index_fill_(1, suppressed, 0.0)
            if ctx.temperature > 0:
                grad_nV.div_(ctx.temperature)
            grad_nV = grad_nV.to(hidden_NH.dtype)
            grad_hidden_NH[rows] = grad_nV @ cast_head_VH
            if grad_head_VH is not None:
                _add_product(grad_head_VH, grad_nV.T, hidden_NH[rows])
        return grad_hidden_NH, None if grad_head_VH is None else grad_head_VH.to(head_VH.dtype), None, None, None, None


def _add_product(sum_VH: Tensor, left_Vn: Tensor, right_nH: Tensor) -> None:
    """Add a product in place, without a tensor for it where the types are the same."""
    if sum_VH.dtype == left_Vn.dtype:
        sum_VH.addmm_(left_Vn, right_nH)
    else:
        sum_VH.add_(left_Vn @ right_nH)


def _chunks(num_rows: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, num_rows, size)]


def penalised(
    logits_NV: Tensor, prompts: Sequence[Tensor], completions: Sequence[Sequence[int]], generation: GenerationSettings
) -> Tensor:
    """A copy of the logits with the tokens that were written before made less likely. (N, V)

    ``l / repetition_penalty`` where l > 0, else ``l * repetition_penalty``, for every token of the row's prompt (L,) or
    completion, as transformers' ``RepetitionPenaltyLogitsProcessor``; then ``l - presence_penalty / temperature`` for
    every token of the completion, as in vLLM, whose penalties come before the temperature, which these logits have.
    """
    logits_NV = logits_NV.clone()
    for row_V, prompt_L, completion in zip(logits_NV, prompts, completions, strict=True):
        written = torch.tensor(completion, dtype=torch.long, device=row_V.device).unique()
        seen = torch.cat((prompt_L.to(row_V.device), written)).unique()
        factor = generation.repetition_penalty
        row_V[seen] = torch.where(row_V[seen] > 0, row_V[seen] / factor, row_V[seen] * factor)
        row_V[written] -= generation.presence_penalty / (generation.temperature or 1.0)
    return logits_NV


def choose_tokens(logits_NV: Tensor, generation: GenerationSettings, uniform_N: Tensor | None) -> Tensor:
    """Draw one token a row, or take the likeliest where temperature is 0. Returns ids (N,).

    Drawn by inverting the cumulative distribution at ``uniform_N``, numbers in [0, 1): what a row becomes
    depends on its own number alone, never on its neighbours in the batch.
    """
    if generation.temperature == 0:
        return logits_NV.argmax(1)
    assert uniform_N is not None, "sampling needs a number for every row"
    cumulative_NV = _truncated(logits_NV, generation).double().softmax(1).cumsum(1)
    threshold_N1 = uniform_N.to(cumulative_NV)[:, None] * cumulative_NV[:, -1:]
    return torch.searchsorted(cumulative_NV, threshold_N1, right=True)[:, 0]


def _truncated(logits_NV: Tensor, generation: GenerationSettings) -> Tensor:
    """Keep the top_k likeliest tokens, and of those the fewest that together have a mass of top_p."""
    if generation.top_k:
        kth_N1 = logits_NV.topk(min(generation.top_k, logits_NV.shape[1]), dim=1).values[:, -1:]
        logits_NV = logits_NV.masked_fill(logits_NV < kth_N1, float("-inf"))
    if generation.top_p < 1:
        sorted_NV, order_NV = logits_NV.sort(dim=1, descending=True)
        mass_before_NV = sorted_NV.softmax(1).cumsum(1) - sorted_NV.softmax(1)
        dropped_NV = torch.zeros_like(order_NV, dtype=torch.bool).scatter(
            1, order_NV, mass_before_NV >= generation.top_p
        )
        logits_NV = logits_NV.masked_fill(dropped_NV, float("-inf"))
    return logits_NV
