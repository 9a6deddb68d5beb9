"""The soft IoU reward of TAR-TVG: it still points the way when the answer misses the truth altogether."""

from collections.abc import Sequence

from tvg_lightning import spans
from tvg_lightning.schema import Span


def soft_iou_reward(prediction: Span | None, windows: Sequence[Span]) -> float:
    """Soft IoU of the answer with the true window it fits best.

    ``(min(e, e*) - max(s, s*)) / (max(e, e*) - min(s, s*))``, in (-1, 1]; TAR-TVG (arXiv 2508.07683), formula
    reconstructed (see ``spans.soft_iou``). 1: exactly a true window. 0: they touch, or there is no usable
    answer. Negative: apart, the nearer to -1 the farther. Times in seconds.

    >>> soft_iou_reward(Span(0.0, 2.0), [Span(6.0, 8.0)])
    -0.5
    """
    window = spans.best_window(prediction, windows)
    return 0.0 if window is None else spans.soft_iou(prediction, window)
