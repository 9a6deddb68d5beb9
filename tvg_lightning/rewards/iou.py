"""The IoU reward: TVG-R1, Invert4TVG, and Time-R1's fine-tuning on one benchmark."""

from collections.abc import Sequence

from tvg_lightning.schema import Span
from tvg_lightning.spans import iou_to_windows


def iou_reward(prediction: Span | None, windows: Sequence[Span]) -> float:
    """Temporal IoU of the answer with the true window it fits best.

    ``max_g IoU(prediction, g)``; TVG-R1 (arXiv 2507.18100), Invert4TVG (arXiv 2508.07388). 1: exactly a true
    window. 0: no common time, or no usable answer. Times in seconds.

    >>> iou_reward(Span(0.0, 4.0), [Span(0.0, 1.0), Span(2.0, 4.0)])
    0.5
    """
    return iou_to_windows(prediction, windows)
