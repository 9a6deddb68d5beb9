"""The end of TAR-TVG's stage 1: choosing the traces good enough to teach a fresh model (arXiv 2508.07683)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tvg_lightning import spans
from tvg_lightning.schema import Span, Task
from tvg_lightning.span_sets import answer_iou
from tvg_lightning.traces import Trace


@dataclass(frozen=True)
class HarvestRule:
    """Conditions for keeping a trace.

    Reconstruction: the paper keeps traces by anchor-quality thresholds, no public source states them.

    Args:
        min_anchors: anchors in the thought, at least.
        min_answer_iou: IoU of the answer, at least.
        min_last_anchor_iou: IoU of the last anchor, at least.
        max_per_sample: best traces of a query, by IoU of the answer, that are kept (default: every good one).
    """

    min_anchors: int = 2
    min_answer_iou: float = 0.5
    min_last_anchor_iou: float = 0.5
    max_per_sample: int | None = None

    def __post_init__(self) -> None:
        if self.min_anchors < 2:
            raise ValueError(f"min_anchors: expected 2 or more, since two anchors are compared; got {self.min_anchors}")
        for name, value in (
            ("min_answer_iou", self.min_answer_iou),
            ("min_last_anchor_iou", self.min_last_anchor_iou),
        ):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name}: expected a number in [0, 1], got {value}")
        if self.max_per_sample is not None and self.max_per_sample < 1:
            raise ValueError(f"max_per_sample: expected 1 or more, or null for no limit; got {self.max_per_sample}")


def refusal(trace: Trace, rule: HarvestRule) -> str | None:
    """The reason why the rule leaves this trace out, in a few words that can be counted; None when it is kept.

    Kept: format = 1, K >= 2, u_1 < u_2 <= u_answer, IoU(answer) >= tau, IoU(A_K) >= tau, with u the soft IoU.
    Measured anew from the spans, not read from the record, so a hand-made trace is judged alike.
    """
    if trace.task != Task.TVG:
        return "another task"
    if trace.windows is None:
        return "truth unknown"
    if not trace.windows:
        return "not in the video"
    if not trace.follows_format:
        return "format"
    answer = trace.answer.span
    if answer is None:
        return "no answer"
    if len(trace.anchors) < rule.min_anchors:
        return "too few anchors"
    if spans.iou_to_windows(answer, trace.windows) < rule.min_answer_iou:
        return "answer too far off"
    if spans.iou_to_windows(trace.anchors[-1], trace.windows) < rule.min_last_anchor_iou:
        return "last anchor too far off"
    first, second = (_soft_iou(anchor, trace.windows) for anchor in trace.anchors[:2])
    if not first < second <= _soft_iou(answer, trace.windows):
        return "no refinement"
    return None


def is_refining(anchors: Sequence[Span], answer: Span | None, windows: Sequence[Span]) -> bool:
    """True where a thought closes in on the truth: every anchor better than the one before, the answer not worse.

    ``u_1 < ... < u_K <= u_answer``, K >= 2, u the soft IoU with the window that fits best; reconstruction: for
    two anchors this is the harvest's rule, for more it asks the same of every step. False with fewer than two
    anchors, an estimate that cannot be used, or no true window.

    >>> is_refining([Span(0.0, 8.0), Span(0.0, 5.0)], Span(0.0, 4.0), [Span(0.0, 4.0)])
    True
    """
    if answer is None or len(anchors) < 2 or not windows:
        return False
    if not all(map(spans.is_usable, (*anchors, answer))):  # their soft IoU of 0 may lie above the one before
        return False
    *of_anchors, of_answer = (_soft_iou(span, windows) for span in (*anchors, answer))
    return all(earlier < later for earlier, later in pairwise(of_anchors)) and of_anchors[-1] <= of_answer


def harvest(traces: Iterable[Trace], rule: HarvestRule) -> list[Trace]:
    """The traces to train on, in their first order, without a text that its query has already given."""
    good: dict[tuple[str, str], Trace] = {}
    for trace in traces:
        if refusal(trace, rule) is None:
            good.setdefault((trace.sample_id, trace.text), trace)
    if rule.max_per_sample is None:
        return list(good.values())
    taken: Counter[str] = Counter()
    chosen: set[tuple[str, str]] = set()
    for key, trace in sorted(good.items(), key=lambda item: -_answer_iou(item[1])):
        taken[trace.sample_id] += 1
        if taken[trace.sample_id] <= rule.max_per_sample:
            chosen.add(key)
    return [trace for key, trace in good.items() if key in chosen]


def _answer_iou(trace: Trace) -> float:
    return answer_iou(trace.answer, trace.windows or ())


def _soft_iou(span: Span, windows: Sequence[Span]) -> float:
    window = spans.best_window(span, windows)
    assert window is not None, "a trace without windows is refused before this"
    return spans.soft_iou(span, window)
