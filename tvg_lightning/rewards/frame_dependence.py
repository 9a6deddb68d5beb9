"""TaRO's bonus for completions whose words depend on the order of the frames."""

from collections.abc import Sequence
from statistics import mean


def frame_dependence_reward(dependence: float, group: Sequence[float], overlap: float, min_iou: float) -> float:
    """1 where the answer is good and its completion depends on the frames more than its group does on average.

    ``[d_i > mean(d) and IoU >= min_iou]``; TaRO (arXiv 2606.09248), which weighs it 0.3 and asks for an IoU of 0.7.
    ``dependence``: d_i, ``policy.frame_dependence``; ``group``: those of all completions of the prompt. Equal ones
    earn nothing, whatever rounding does to their mean. Each completion is held against its own d, as the paper says;
    in the release all of a group share one dictionary, so that the last one's d decides for all.

    >>> [frame_dependence_reward(d, [0.1, 0.3], overlap=0.8, min_iou=0.7) for d in (0.1, 0.3)]
    [0.0, 1.0]
    >>> frame_dependence_reward(0.1, [0.1, 0.1, 0.1], overlap=0.8, min_iou=0.7)
    0.0
    """
    return float(overlap >= min_iou and dependence > mean(group))  # mean is exact: of equal numbers it is the number
