"""Group-relative advantages. Shapes: B prompts, G completions of each."""

from typing import Literal

from torch import Tensor

RewardScale = Literal["group", "batch", "none"]


def group_advantage(rewards_BG: Tensor, scale: RewardScale = "group", eps: float = 1e-4) -> Tensor:
    """The advantage of each completion over its group, in standard deviations.

    ``(r - mean_G) / (std + eps)``; GRPO (arXiv 2402.03300). "group": the group's std. "batch": the std of all
    B * G rewards given. "none": not divided (Dr. GRPO, arXiv 2503.20783). The std is the unbiased one
    (divided by G - 1) and eps is 1e-4, as in TRL, on which this lineage trains; TVG-R1's paper writes the std
    divided by G, which is larger advantages by sqrt(G / (G - 1)), 7 % at G = 8. 0: as good as the group. A
    group of equal rewards is exactly 0: left to rounding, ``r - mean`` is some 1e-8 and eps would blow it up.
    Shapes (B, G) to (B, G); no gradient.

    >>> import torch
    >>> group_advantage(torch.tensor([[0.0, 2.0]]), scale="none")
    tensor([[-1.,  1.]])
    """
    assert rewards_BG.ndim == 2, rewards_BG.shape
    if rewards_BG.shape[1] < 2:
        raise ValueError("num_generations is 1: a group needs at least 2 completions to be compared")
    rewards_BG = rewards_BG.detach()
    centred_BG = rewards_BG - rewards_BG.mean(dim=1, keepdim=True)
    if scale == "group":
        centred_BG = centred_BG / (rewards_BG.std(dim=1, keepdim=True) + eps)
    elif scale == "batch":
        centred_BG = centred_BG / (rewards_BG.std() + eps)
    else:
        assert scale == "none", scale
    return centred_BG.masked_fill(constant_groups(rewards_BG)[:, None], 0.0)


def constant_groups(rewards_BG: Tensor) -> Tensor:
    """True for constant groups, whose rewards are all equal and so teach nothing; (B, G) to bool (B,).

    >>> import torch
    >>> constant_groups(torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
    tensor([ True, False])
    """
    return rewards_BG.amax(dim=1) == rewards_BG.amin(dim=1)
