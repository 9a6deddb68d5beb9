"""The loss of supervised fine-tuning. Shapes: N rows, T token positions."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class SFTLoss:
    """``loss = total / denominator``; the parts are there to add up micro-batches and ranks."""

    loss: Tensor  # ()
    total: Tensor  # (), sum of -log p over the target tokens
    denominator: Tensor  # ()
    num_tokens: Tensor  # (), target tokens in this micro-batch


def sft_loss(logp_NT: Tensor, mask_NT: Tensor, denominator: Tensor | float | None = None) -> SFTLoss:
    """The mean negative log-likelihood of the target tokens.

    ``-sum(mask * logp) / denominator``; the denominator is the number of target tokens here, at least 1,
    unless one is given. Give the number of target tokens of the whole batch, and the losses of its
    micro-batches add up to the loss of the batch; under DDP, which averages gradients, give that number
    divided by the number of ranks. 0: every target token is certain. ``logp_NT``: log-probability (nats) of
    the token at each position, already shifted. ``mask_NT``: bool, True at target tokens; whatever stands
    elsewhere, NaN included, has no effect.

    >>> import torch
    >>> sft_loss(torch.tensor([[-1.0, -3.0, -9.0]]), torch.tensor([[True, True, False]])).loss
    tensor(2.)
    """
    assert logp_NT.shape == mask_NT.shape, (logp_NT.shape, mask_NT.shape)
    mask_NT = mask_NT.bool()
    total = -logp_NT.masked_fill(~mask_NT, 0.0).sum()
    num_tokens = mask_NT.sum()
    if denominator is None:
        denominator = num_tokens.clamp(min=1)
    scale = total.new_zeros(()) + denominator
    return SFTLoss(total / scale, total.detach(), scale, num_tokens)
