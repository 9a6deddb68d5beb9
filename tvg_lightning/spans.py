"""The one temporal IoU of the project, and its soft form. Standard library only."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from tvg_lightning.schema import Span


def is_usable(span: Span | None) -> bool:
    """True where a span can be scored: present, both times finite, start before end.

    >>> is_usable(Span(1.0, 2.0)), is_usable(Span(2.0, 2.0)), is_usable(None)
    (True, False, False)
    """
    if span is None:
        return False
    return math.isfinite(span.start_s) and math.isfinite(span.end_s) and span.start_s < span.end_s


def iou(prediction: Span | None, truth: Span) -> float:
    """Temporal intersection over union.

    ``max(0, min(e, e*) - max(s, s*)) / (max(e, e*) - min(s, s*))``. 1: the same span. 0: no common time, or
    either span is unusable (missing, not finite, start >= end).

    >>> iou(Span(0.0, 4.0), Span(2.0, 6.0))  # 2 s shared, 6 s covered
    0.3333333333333333
    """
    return max(0.0, soft_iou(prediction, truth))


def soft_iou(prediction: Span | None, truth: Span) -> float:
    """IoU without its clamp at 0, so that disjoint spans are graded by how far apart they are.

    ``(min(e, e*) - max(s, s*)) / (max(e, e*) - min(s, s*))``, in (-1, 1]: the IoU where the spans overlap,
    ``-gap / hull`` where they do not. TAR-TVG (arXiv 2508.07683) names this reward and publishes no formula:
    this one is our reconstruction. An unusable span gives 0, which is *above* a disjoint one; the format
    reward of TAR-TVG is what makes an unusable answer a bad bargain.

    >>> soft_iou(Span(0.0, 2.0), Span(6.0, 8.0))  # a gap of 4 s in a hull of 8 s
    -0.5
    """
    if prediction is None or not is_usable(prediction) or not is_usable(truth):
        return 0.0
    inter_s = min(prediction.end_s, truth.end_s) - max(prediction.start_s, truth.start_s)
    hull_s = max(prediction.end_s, truth.end_s) - min(prediction.start_s, truth.start_s)
    # 1e308 and -1e308 are finite, their hull is not
    return inter_s / hull_s if math.isfinite(hull_s) else 0.0


def best_window(prediction: Span | None, windows: Sequence[Span]) -> Span | None:
    """The true window to score against: highest IoU, then highest soft IoU, then the earliest in the list.

    None only where there is no window at all. QVHighlights and NExT-GQA have several windows to a query;
    scoring against the first one moves a published R1@0.5 from 67.35 to 55.10.

    >>> best_window(Span(8.0, 9.0), [Span(0.0, 1.0), Span(5.0, 7.0)])
    Span(start_s=5.0, end_s=7.0)
    """
    if not windows:
        return None
    return max(windows, key=lambda window: (iou(prediction, window), soft_iou(prediction, window)))


def iou_to_windows(prediction: Span | None, windows: Sequence[Span]) -> float:
    """IoU with the true window of highest IoU; 0 where there is no window.

    >>> iou_to_windows(Span(5.0, 7.0), [Span(0.0, 1.0), Span(5.0, 7.0)])
    1.0
    """
    return max((iou(prediction, window) for window in windows), default=0.0)


def snapped(span: Span, times_s: Sequence[float]) -> Span:
    """The span widened to the nearest of some rising times: its start down, its end up; where there is none, as it is.

    TimeLens (arXiv 2512.14698) trains on windows that begin and end at frames that were seen.

    >>> snapped(Span(1.2, 2.1), [0.0, 1.0, 2.0, 3.0])
    Span(start_s=1.0, end_s=3.0)
    """
    before, after = bisect_right(times_s, span.start_s), bisect_left(times_s, span.end_s)
    start_s = times_s[before - 1] if before > 0 else span.start_s
    return Span(start_s, times_s[after] if after < len(times_s) else span.end_s)
