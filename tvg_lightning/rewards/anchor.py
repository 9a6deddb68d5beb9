"""TAR-TVG's rewards for the timestamps inside the thought: how good, ever better, not too many.

The paper (arXiv 2508.07683) names three parts, TAR1 to TAR3, and says what they are for; their formulas are
not public. All three here are our reconstruction.
"""

from collections.abc import Sequence

from tvg_lightning.rewards.weights import AnchorSettings
from tvg_lightning.schema import Span
from tvg_lightning.spans import is_usable, soft_iou


def anchor_accuracy_reward(anchors: Sequence[Span], truth: Span) -> float:
    """TAR1: how good the anchors are, later ones counting more.

    ``sum_k w_k * sIoU(A_k, truth)``, ``w_k = k / (1 + ... + K)``; reconstruction. 1: every anchor is the
    truth. 0: no anchors, or they touch the truth on the whole. Negative: they miss it on the whole. Times in
    seconds.

    >>> anchor_accuracy_reward([Span(0.0, 8.0), Span(0.0, 4.0)], Span(0.0, 4.0))  # (1 * 0.5 + 2 * 1) / 3
    0.8333333333333334
    """
    num_anchors = len(anchors)
    if num_anchors == 0:
        return 0.0
    weighted = sum(k * soft_iou(anchor, truth) for k, anchor in enumerate(anchors, start=1))
    return weighted / (num_anchors * (num_anchors + 1) / 2)


def anchor_refinement_reward(
    anchors: Sequence[Span], answer: Span | None, truth: Span, settings: AnchorSettings
) -> float:
    """TAR2: the share of steps, anchor to anchor and last anchor to answer, that come closer to the truth.

    ``(1/K) * #{k <= K : u_{k+1} > u_k, or both >= saturation}``, u the soft IoU and ``u_{K+1}`` the answer's;
    reconstruction. 1: every step is better than the one before. 0: none is, or there are no anchors. It
    counts steps and does not add up gains: gains telescope, so a bad first anchor would pay. A step to an
    unusable answer never counts, though its soft IoU of 0 may lie above the last anchor's. Times in seconds.

    >>> truth = Span(0.0, 4.0)
    >>> anchor_refinement_reward([Span(0.0, 8.0), Span(0.0, 9.0)], truth, truth, AnchorSettings())
    0.5
    """
    if not anchors:
        return 0.0
    steps: list[Span | None] = [*anchors, answer]
    scores = [soft_iou(step, truth) for step in steps]
    refined = 0
    for k in range(len(anchors)):
        saturated = min(scores[k], scores[k + 1]) >= settings.saturation
        refined += is_usable(steps[k + 1]) and (scores[k + 1] > scores[k] or saturated)
    return refined / len(anchors)


def anchor_count_reward(num_anchors: int, settings: AnchorSettings) -> float:
    """TAR3: a price on every anchor above the allowed number.

    ``max(floor, -penalty * max(0, K - max_anchors))``; reconstruction. 0: no more than allowed (none at all
    included: the format reward asks for one). Never positive.

    >>> [anchor_count_reward(k, AnchorSettings()) for k in (0, 2, 3, 9)]
    [0.0, 0.0, -0.5, -1.0]
    """
    excess = num_anchors - settings.max_anchors
    return 0.0 if excess <= 0 else max(settings.floor, -settings.penalty * excess)
