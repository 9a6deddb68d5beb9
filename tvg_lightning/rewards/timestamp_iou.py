"""Time-R1's reward, the timestamp-aware IoU (tIoU): IoU, made smaller by how far each end is off."""

from collections.abc import Sequence

from tvg_lightning.schema import Span
from tvg_lightning.spans import best_window, iou


def timestamp_iou_reward(prediction: Span | None, windows: Sequence[Span], duration_s: float) -> float:
    """tIoU: IoU times a penalty for each end, relative to the video's duration D.

    ``IoU * max(0, 1 - |s - s*| / D) * max(0, 1 - |e - e*| / D)``; Time-R1 (arXiv 2503.13377). 1: exactly a
    true window. 0: no common time, an end off by D or more, or no usable answer. The release does not clamp
    the factors, so times beyond the video make them negative there, and two negative ones a positive reward.
    Times in seconds.

    >>> timestamp_iou_reward(Span(0.0, 4.0), [Span(2.0, 4.0)], duration_s=10.0)  # 0.5 * 0.8 * 1.0
    0.4
    """
    assert duration_s > 0.0, duration_s
    window = best_window(prediction, windows)
    if window is None or prediction is None:
        return 0.0
    overlap = iou(prediction, window)
    if overlap == 0.0:
        return 0.0
    start_factor = max(0.0, 1.0 - abs(prediction.start_s - window.start_s) / duration_s)
    end_factor = max(0.0, 1.0 - abs(prediction.end_s - window.end_s) / duration_s)
    return overlap * start_factor * end_factor
