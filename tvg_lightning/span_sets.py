"""Sets of spans, for answers and truths of any number of windows: set IoU and Wasserstein distance. Standard library.

A set that names no span at all is *empty*: the statement that the event is not in the video. A set that names
spans of which none is usable states nothing, and scores as the unusable span does in ``spans.iou``: 0.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from tvg_lightning.schema import Answer, Span
from tvg_lightning.spans import iou_to_windows, is_usable


def merged(spans: Sequence[Span]) -> list[Span]:
    """The usable spans in order of time, those that overlap or touch joined into one.

    >>> merged([Span(6.0, 8.0), Span(0.0, 4.0), Span(4.0, 5.0), Span(3.0, 1.0)])
    [Span(start_s=0.0, end_s=5.0), Span(start_s=6.0, end_s=8.0)]
    """
    joined: list[Span] = []
    for span in sorted(span for span in spans if is_usable(span)):
        if joined and span.start_s <= joined[-1].end_s:
            joined[-1] = Span(joined[-1].start_s, max(joined[-1].end_s, span.end_s))
        else:
            joined.append(Span(span.start_s, span.end_s))
    return joined


def covered_s(spans: Sequence[Span]) -> float:
    """The seconds that the spans cover, a second that two of them share counted once; infinite beyond all floats.

    >>> covered_s([Span(0.0, 4.0), Span(2.0, 5.0), Span(7.0, 8.0)])
    6.0
    """
    return sum((span.end_s - span.start_s for span in merged(spans)), start=0.0)


def set_iou(predictions: Sequence[Span], truths: Sequence[Span]) -> float:
    """IoU of the time that two sets cover.

    ``|P ∩ T| / |P ∪ T|``, both sets merged, so that no second counts twice. 1: the same time, or both sets
    are empty. 0: no common time, one set is empty, or one has no usable span. One span each: ``spans.iou``.

    >>> set_iou([Span(0.0, 2.0), Span(4.0, 6.0)], [Span(1.0, 5.0)])  # 2 s shared, 6 s covered
    0.3333333333333333
    """
    if not predictions and not truths:
        return 1.0
    # two merged spans that overlap are one span of the union: its length is the hull that iou divides by
    union_s = covered_s([*predictions, *truths])
    if union_s == 0.0 or not math.isfinite(union_s):
        return 0.0
    return min(1.0, _shared_s(merged(predictions), merged(truths)) / union_s)


def _shared_s(predictions: Sequence[Span], truths: Sequence[Span]) -> float:
    """The common seconds of two merged sets, by one walk over both."""
    shared_s, p, t = 0.0, 0, 0
    while p < len(predictions) and t < len(truths):
        prediction, truth = predictions[p], truths[t]
        shared_s += max(0.0, min(prediction.end_s, truth.end_s) - max(prediction.start_s, truth.start_s))
        if prediction.end_s < truth.end_s:
            p += 1
        else:
            t += 1
    return shared_s


def wasserstein_s(predictions: Sequence[Span], truths: Sequence[Span]) -> float:
    """Wasserstein-1 distance in seconds: how far, on average, time must be moved to turn one set into the other.

    ``W1 = ∫ |F_P(t) - F_T(t)| dt``, F the share of a merged set's length that lies before t: the distribution
    function of a moment drawn evenly from it. F is linear between neighbouring ends of spans, so each piece
    is a trapezoid, or two triangles where the difference changes its sign, and the sum is exact.

    0: the same time, or both sets are empty. Infinite: only one set is empty, or one has no usable span, as there
    is nothing to move then; or the times are too large for a float.

    >>> wasserstein_s([Span(0.0, 2.0)], [Span(6.0, 8.0)])  # all of it by 6 s
    6.0
    >>> wasserstein_s([Span(0.0, 4.0)], [Span(0.0, 1.0), Span(3.0, 4.0)])  # 1 s to 2 s goes back 0.5 s on average
    0.5
    """
    if not predictions and not truths:
        return 0.0
    sets = (merged(predictions), merged(truths))
    if not all(0.0 < covered_s(spans) < math.inf for spans in sets):
        return math.inf
    knots = sorted({time_s for spans in sets for span in spans for time_s in span})
    gaps = [p - t for p, t in zip(*(_shares_before(spans, knots) for spans in sets), strict=True)]
    pieces = zip(pairwise(knots), pairwise(gaps), strict=True)
    # a piece without a gap is left out: its width may be infinite, and 0 * inf is NaN
    return sum(((end_s - start_s) * _mean_size(a, b) for (start_s, end_s), (a, b) in pieces if a or b), start=0.0)


def _shares_before(spans: Sequence[Span], knots: Sequence[float]) -> list[float]:
    """F at each of the sorted knots, from 0 at or before the first span to exactly 1 after the last."""
    total_s = covered_s(spans)
    shares: list[float] = []
    passed_s, k = 0.0, 0
    for knot in knots:
        while k < len(spans) and spans[k].end_s <= knot:
            passed_s += spans[k].end_s - spans[k].start_s
            k += 1
        inside_s = max(0.0, knot - spans[k].start_s) if k < len(spans) else 0.0
        shares.append((passed_s + inside_s) / total_s)
    return shares


def _mean_size(a: float, b: float) -> float:
    """The mean of |x| as x goes evenly from a to b, not both 0."""
    if a * b >= 0.0:
        return (abs(a) + abs(b)) / 2.0
    return (a * a + b * b) / (2.0 * (abs(a) + abs(b)))


def answer_iou(answer: Answer, windows: Sequence[Span]) -> float:
    """IoU of an answer: with the true window of highest IoU, or of both sets where its format says sets.

    0 for an answer that could not be read. No true window: 1 for the empty set, which says so.

    >>> answer_iou(Answer(True, (Span(0.0, 4.0),)), [Span(0.0, 4.0), Span(6.0, 10.0)])
    1.0
    >>> answer_iou(Answer(True, (Span(0.0, 4.0),), is_set=True), [Span(0.0, 4.0), Span(6.0, 10.0)])
    0.5
    """
    if answer.is_set:
        return 0.0 if answer.spans is None else set_iou(answer.spans, windows)
    return iou_to_windows(answer.span, windows)
