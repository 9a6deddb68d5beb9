"""TaRO's d: how much likelier a completion is under the frames in their order than under shuffled ones.

The ends of the true windows are where the order is disturbed, so that d asks whether what was written about these
moments goes back to their frames (arXiv 2606.09248). Shape suffixes: B prompts, G completions of each, C longest
completion, N video tokens of one prompt, H hidden.
"""

from collections.abc import Callable, Sequence
from random import Random

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from tvg_lightning.data.frame_times import TIE_S
from tvg_lightning.data.items import Item
from tvg_lightning.data.video import TEMPORAL_PATCH
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.schema import Span, Task

Permute = Callable[[list[int]], list[int]]  # the same numbers in another order
Order = list[int]  # number k: which pair of frames stands in the place of the k-th


def pair_times(times_s: Sequence[float]) -> list[float]:
    """The time of each pair of frames, which the vision tower reads as one: the middle of its two frames.

    >>> pair_times([0.0, 0.5, 1.0, 1.5])
    [0.25, 1.25]
    """
    pairs = zip(times_s[::TEMPORAL_PATCH], times_s[1::TEMPORAL_PATCH], strict=True)
    return [(first_s + second_s) / 2 for first_s, second_s in pairs]


def near(times_s: Sequence[float], time_s: float, radius_s: float) -> list[int]:
    """The numbers of the times at most ``radius_s`` away, the edge included.

    >>> near([0.0, 1.0, 2.0, 3.0], time_s=1.5, radius_s=1.5)
    [0, 1, 2, 3]
    """
    return [number for number, other_s in enumerate(times_s) if abs(other_s - time_s) <= radius_s + TIE_S]


def can_be_shuffled(times_s: Sequence[float], windows: Sequence[Span], radius_s: float) -> bool:
    """True where at least two times lie near an end of a window, so that there is something to shuffle."""
    return any(len(near(times_s, end_s, radius_s)) > 1 for window in windows for end_s in window)


def shuffled_order(times_s: Sequence[float], windows: Sequence[Span], radius_s: float, permute: Permute) -> Order:
    """The order of frames, or of pairs of them, shuffled near the start of a window and then near its end.

    The two stretches may share frames, which are then moved twice; fewer than two frames stay where they are, and a
    permutation may change nothing. TaRO has one window; of several each is shuffled, in their order (ours).

    >>> shuffled_order([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [Span(0.0, 4.0)], 1.0, lambda numbers: numbers[::-1])
    [1, 0, 2, 5, 4, 3]
    """
    order = list(range(len(times_s)))
    for window in windows:
        for end_s in window:
            places = near(times_s, end_s, radius_s)
            if len(places) > 1:
                for place, number in zip(places, permute([order[place] for place in places]), strict=True):
                    order[place] = number
    return order


def orders_of(item: Item, radius_s: float, shuffles: Sequence[Random]) -> list[Order] | None:
    """An order of the item's pairs of frames by each of the generators of random numbers.

    None where d has no meaning: for another task than grounding, without a true window or a readable video, and where
    fewer than two pairs lie near each end of a window.
    """
    windows = item.sample.windows
    if item.task is not Task.TVG or not windows or item.error is not None:
        return None
    times_s = pair_times(item.clip.times_s)
    if not can_be_shuffled(times_s, windows, radius_s):
        return None

    def by(shuffle: Random) -> Permute:
        return lambda numbers: shuffle.sample(numbers, len(numbers))

    return [shuffled_order(times_s, windows, radius_s, by(shuffle)) for shuffle in shuffles]


def permuted_features(features_NH: Tensor, order: Order) -> Tensor:
    """Video features with their pairs of frames in another order: what the tower makes of frames in that order.

    It reads each pair by itself, and learns a pair's time only from the position ids of the language model.

    >>> permuted_features(torch.tensor([[1], [2], [3], [4]]), [1, 0]).flatten().tolist()
    [3, 4, 1, 2]
    """
    pairs = features_NH.unflatten(0, (len(order), -1))
    return pairs[torch.tensor(order, device=features_NH.device)].flatten(0, 1)


def mean_difference(logp_BGC: Tensor, logp_shuffled_BGC: Tensor, mask_BGC: Tensor) -> Tensor:
    """``d = sum_t (log p(original) - log p(shuffled)) / T`` over all T tokens of each completion, (B, G), in nats.

    >>> logp, shuffled = torch.tensor([[[-1.0, -2.0, 9.0]]]), torch.tensor([[[-1.5, -3.0, 0.0]]])
    >>> mean_difference(logp, shuffled, torch.tensor([[[True, True, False]]]))
    tensor([[0.7500]])
    """
    difference_BGC = (logp_BGC - logp_shuffled_BGC).masked_fill(~mask_BGC, 0.0)
    return difference_BGC.sum(2) / mask_BGC.sum(2)


@torch.no_grad()
def frame_dependence(
    policy: PolicyBackbone,
    prompts: Sequence[EncodedPrompt],
    completions: Sequence[Sequence[Sequence[int]]],
    features: Sequence[Tensor],
    orders: Sequence[Sequence[Order] | None],
    temperature: float,
) -> list[list[float] | None]:
    """d of each of G completions (token ids) of B prompts, under an order of its own; None where there are no orders.

    Tokens and position ids stay, the features move. TaRO moves single frames before the tower; here the tower's pairs
    move as a whole. One pass reads the B prompts with all their completions; then G passes read B prompts with one
    completion each, for every completion has other features: no row is longer than the loss's. Where weights are in
    shards all processes make as many passes, also for prompts without orders.
    """
    if all(of_prompt is None for of_prompt in orders) and not isinstance(policy, FSDPModule):
        return [None for _ in orders]
    logp_BGC, mask_BGC = policy.logp(prompts, completions, features, temperature)
    logp_shuffled_BGC = torch.zeros_like(logp_BGC)
    for number in range(len(completions[0])):
        moved = [
            feature if of_prompt is None else permuted_features(feature, of_prompt[number])
            for feature, of_prompt in zip(features, orders, strict=True)
        ]
        logp_B1c, _ = policy.logp(prompts, [[group[number]] for group in completions], moved, temperature)
        logp_shuffled_BGC[:, number, : logp_B1c.shape[2]] = logp_B1c[:, 0]
    found = mean_difference(logp_BGC, logp_shuffled_BGC, mask_BGC).tolist()
    return [None if of_prompt is None else row for row, of_prompt in zip(found, orders, strict=True)]
