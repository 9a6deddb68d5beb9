"""IoUs of samples by hand."""

from dataclasses import replace

from tests.builders import GOOD_TRACE
from tvg_lightning.filter.ious import answer_ious, sample_ious, trace_iou
from tvg_lightning.schema import Span, Task
from tvg_lightning.traces import Trace


def trace(name: str, iou: float, **changes: object) -> Trace:
    """The answer 0 to 10 * iou of the window 0 to 10 has that IoU."""
    spans = (Span(0.0, 10 * iou),) if iou > 0 else None
    made = replace(GOOD_TRACE, sample_id=name, windows=(Span(0.0, 10.0),), spans=spans, text=f"{name} {iou}")
    return replace(made, **changes)  # type: ignore[arg-type]


def test_the_iou_of_a_sample_is_the_mean_over_its_grounding_answers() -> None:
    verbs = trace("a", 1.0, task=Task.ACTION_RECOGNITION)
    assert sample_ious([trace("a", 0.5), trace("a", 0.0), verbs, trace("b", 1.0)]) == {"a": 0.25, "b": 1.0}


def test_answers_of_unknown_truth_have_none() -> None:
    known, unknown = trace("a", 0.9), trace("a", 0.9, windows=None)
    assert list(answer_ious([unknown, known])) == [("a", trace_iou(known))] and trace_iou(known) == 0.9
