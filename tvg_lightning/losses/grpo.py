"""The GRPO loss, with its numerator and denominator kept apart. Shapes: N completions, T token positions."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

KLEstimator = Literal["k1", "k2", "k3"]
Reduction = Literal["token_mean", "sequence_mean", "constant"]
RatioLevel = Literal["token", "sequence"]


@dataclass(frozen=True, slots=True)
class GRPOLoss:
    """``loss = total / denominator``; the rest, for the log, are means over this micro-batch's tokens."""

    loss: Tensor  # ()
    total: Tensor  # (), the reduction's numerator, detached
    denominator: Tensor  # ()
    clip_fraction: Tensor  # (), share of tokens whose gradient the clip removes
    kl: Tensor  # (), mean of the estimator; 0 without a reference
    ratio: Tensor  # (), mean of pi / pi_old; 1 on the first step after a rollout
    num_tokens: Tensor  # ()


def grpo_loss(
    logp_NT: Tensor,
    logp_old_NT: Tensor,
    advantage_N: Tensor,
    mask_NT: Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    beta: float = 0.0,
    logp_ref_NT: Tensor | None = None,
    kl: KLEstimator = "k3",
    ratio_level: RatioLevel = "token",
    reduction: Reduction = "token_mean",
    max_length: int | None = None,
    denominator: Tensor | float | None = None,
    clip_dual: float | None = None,
    max_log_ratio: float | None = None,
    weight_NT: Tensor | None = None,
) -> GRPOLoss:
    """The clipped policy loss with a penalty for leaving the reference.

    Per token ``-min(rho * A, clip(rho, 1 - clip_low, 1 + clip_high) * A) + beta * KL``, ``rho = exp(logp - logp_old)``;
    GRPO (arXiv 2402.03300). clip_high > clip_low is clip-higher (DAPO, arXiv 2503.14476), ``ratio_level`` "sequence"
    one rho a completion, the exp of its mean ``logp - logp_old`` (GSPO, arXiv 2507.18071). ``clip_dual`` c: where A < 0
    the first term is at most ``-c * A`` (arXiv 1912.09729); ``max_log_ratio`` holds log rho (nats). ``weight_NT``, (N,
    T) or (N, 1), multiplies that term (``losses.importance``). Summed, then divided by ``loss_denominator`` unless
    ``denominator`` is given: give the whole batch's, and the losses of its micro-batches add up to the batch's; under
    DDP, which averages gradients, that divided by the number of ranks. On the first step the loss is minus the
    (weighted) mean advantage; its gradient is what counts. ``logp_*``: log-probabilities (nats) of the sampled tokens,
    at the rollout's temperature. ``mask_NT``: True at sampled tokens; what stands elsewhere, NaN included, has no
    effect. beta > 0 needs ``logp_ref_NT``, "constant" ``max_length``.

    >>> import torch
    >>> logp, mask = torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool)
    >>> grpo_loss(logp, logp, torch.tensor([3.0]), mask).loss
    tensor(-3.)
    """
    assert logp_NT.shape == logp_old_NT.shape == mask_NT.shape and advantage_N.shape == logp_NT.shape[:1], mask_NT.shape
    assert beta == 0.0 or logp_ref_NT is not None, "beta > 0 needs the reference's log-probabilities"
    mask_NT, outside_NT = mask_NT.bool(), ~mask_NT.bool()  # filled before any arithmetic: 0 * NaN is NaN, backward too
    logp_NT = logp_NT.masked_fill(outside_NT, 0.0)
    logp_old_NT = logp_old_NT.detach().masked_fill(outside_NT, 0.0)
    ratio_NT = _ratio(logp_NT - logp_old_NT, mask_NT, ratio_level, max_log_ratio)
    loss_NT, cut_NT = _clipped(ratio_NT, advantage_N.detach()[:, None], 1.0 - clip_low, 1.0 + clip_high, clip_dual)
    if weight_NT is not None:
        loss_NT = loss_NT * weight_NT.detach()
    kl_NT = _kl(logp_NT, logp_ref_NT, outside_NT, kl)
    loss_NT = loss_NT + beta * kl_NT if beta > 0.0 else loss_NT
    total = _numerator(loss_NT.masked_fill(outside_NT, 0.0), mask_NT, reduction)
    given = loss_denominator(mask_NT, reduction, max_length) if denominator is None else denominator
    scale = total.new_zeros(()) + given
    return GRPOLoss(
        loss=total / scale,
        total=total.detach(),
        denominator=scale,
        clip_fraction=_token_mean(cut_NT, mask_NT),
        kl=_token_mean(kl_NT, mask_NT),
        ratio=_token_mean(ratio_NT, mask_NT),
        num_tokens=mask_NT.sum(),
    )


def loss_denominator(mask_NT: Tensor, reduction: Reduction, max_length: int | None = None) -> Tensor:
    """The divisor of the summed loss; at least 1. Denominators of micro-batches add up to the batch's.

    "token_mean": sampled tokens (DAPO, arXiv 2503.14476). "sequence_mean": completions, each first averaged
    over its own tokens (GRPO). "constant": completions times ``max_length`` (Dr. GRPO, arXiv 2503.20783), so
    that the length of a completion does not weigh its tokens. A row without a sampled token is padding, not a
    completion. The floor of 1 keeps an empty micro-batch at loss 0; where micro-batches can be empty, take
    this of the whole batch's mask instead of adding theirs up.

    >>> import torch
    >>> loss_denominator(torch.tensor([[True, True], [True, False], [False, False]]), "token_mean")
    tensor(3)
    """
    return loss_count(mask_NT, reduction, max_length).clamp(min=1)


def loss_count(mask_NT: Tensor, reduction: Reduction, max_length: int | None = None) -> Tensor:
    """``loss_denominator`` without its floor: what processes add up before it is laid under their sum."""
    if reduction == "token_mean":
        return mask_NT.sum()
    num_completions = mask_NT.any(dim=1).sum()
    if reduction == "sequence_mean":
        return num_completions
    assert reduction == "constant", reduction
    if max_length is None or max_length < 1:
        raise ValueError(f'max_length is {max_length}: reduction "constant" divides by it, give the token limit')
    return num_completions * max_length


def kl_estimate(logp_NT: Tensor, logp_ref_NT: Tensor, kind: KLEstimator) -> Tensor:
    """Per-token estimates of KL(policy || reference) on the policy's own tokens, ``d = logp - logp_ref``.

    "k1": d, unbiased and of either sign; as a term of the loss it does not hold the policy to the reference, for
    its gradient has no reference in it. "k2": d^2 / 2. "k3": exp(-d) - 1 + d, unbiased and never negative
    (GRPO's). 0: the two agree on this token.

    >>> import torch
    >>> kl_estimate(torch.tensor([0.0]), torch.tensor([-2.0]), "k2")
    tensor([2.])
    """
    gap_NT = logp_NT - logp_ref_NT
    if kind == "k1":
        return gap_NT
    if kind == "k2":
        return gap_NT.square() / 2
    assert kind == "k3", kind
    return (-gap_NT).exp() - 1.0 + gap_NT


def _ratio(gap_NT: Tensor, mask_NT: Tensor, level: RatioLevel, max_log_ratio: float | None) -> Tensor:
    """pi / pi_old from their log-probabilities' gap, of each token or one for all tokens of a completion."""
    if level == "sequence":
        gap_NT = (gap_NT.sum(1, keepdim=True) / mask_NT.sum(1, keepdim=True).clamp(min=1)).expand_as(gap_NT)
    if max_log_ratio is not None:
        gap_NT = gap_NT.clamp(-max_log_ratio, max_log_ratio)
    return gap_NT.exp()


def _kl(logp_NT: Tensor, logp_ref_NT: Tensor | None, outside_NT: Tensor, kind: KLEstimator) -> Tensor:
    if logp_ref_NT is None:
        return logp_NT.new_zeros(logp_NT.shape)
    return kl_estimate(logp_NT, logp_ref_NT.detach().masked_fill(outside_NT, 0.0), kind)


def _clipped(
    ratio_NT: Tensor, advantage_N1: Tensor, low: float, high: float, dual: float | None
) -> tuple[Tensor, Tensor]:
    """The clipped loss of each token, and 1 where the clip takes its gradient away."""
    loss_NT = -(ratio_NT * advantage_N1).minimum(ratio_NT.clamp(low, high) * advantage_N1)
    is_good_N1, is_bad_N1 = advantage_N1 > 0, advantage_N1 < 0
    cut_NT = ((ratio_NT > high) & is_good_N1) | ((ratio_NT < low) & is_bad_N1)
    if dual is not None:
        loss_NT = loss_NT.minimum(-dual * advantage_N1).where(is_bad_N1, loss_NT)
        cut_NT = cut_NT | ((ratio_NT > dual) & is_bad_N1)
    return loss_NT, cut_NT.to(ratio_NT.dtype)


def _numerator(loss_NT: Tensor, mask_NT: Tensor, reduction: Reduction) -> Tensor:
    if reduction == "sequence_mean":
        return (loss_NT.sum(dim=1) / mask_NT.sum(dim=1).clamp(min=1)).sum()
    return loss_NT.sum()


def _token_mean(values_NT: Tensor, mask_NT: Tensor) -> Tensor:
    return values_NT.detach().masked_fill(~mask_NT, 0.0).sum() / mask_NT.sum().clamp(min=1)
