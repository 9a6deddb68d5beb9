"""The set IoU reward, for queries that happen several times or not at all: TimeLens2 and OMTG."""

from collections.abc import Sequence

from tvg_lightning.schema import Span
from tvg_lightning.span_sets import set_iou


def set_iou_reward(spans: Sequence[Span] | None, windows: Sequence[Span]) -> float:
    """IoU of the time that the answer covers and the time of all true windows.

    ``|P ∩ T| / |P ∪ T|``, both merged; TimeLens2 (arXiv 2607.17423), OMTG (arXiv 2606.06294). 1: the same
    time, or an empty answer where there is no true window. 0: no common time, only one of them is empty, or the
    answer could not be read (``spans`` is None) or used. Times in seconds.

    Where we depart: TimeLens2's release does not merge the truth, so where true windows overlap, their common time
    counts twice, and a part of it can earn 1. It also drops unusable windows before it asks whether a set is
    empty; here an answer of unusable windows alone is not an empty one, and earns 0.

    >>> set_iou_reward([Span(0.0, 2.0), Span(4.0, 6.0)], [Span(0.0, 2.0)])  # 2 s shared, 4 s covered
    0.5
    >>> set_iou_reward([], []), set_iou_reward(None, [])
    (1.0, 0.0)
    """
    return 0.0 if spans is None else set_iou(spans, windows)
