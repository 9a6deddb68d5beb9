"""TVG-R1's split by hand."""

from dataclasses import replace

import pytest

from tests.builders import GOOD_TRACE
from tvg_lightning.filter.tvg_r1 import TVGR1Rule, split_by_teacher
from tvg_lightning.schema import Sample, Span
from tvg_lightning.traces import Trace


def sample(name: str) -> Sample:
    return Sample(name, f"{name}.mp4", 40.0, "q", (Span(0.0, 10.0),))


def trace(name: str, iou: float, **changes: object) -> Trace:
    """The answer 0 to 10 * iou of the window 0 to 10 has that IoU."""
    spans = (Span(0.0, 10 * iou),) if iou > 0 else None
    made = replace(GOOD_TRACE, sample_id=name, windows=(Span(0.0, 10.0),), spans=spans, text=f"{name} {iou}")
    return replace(made, **changes)  # type: ignore[arg-type]


def test_tvg_r1_splits_in_three() -> None:
    """0.8 is not above eps1, 0.4 is not below eps2: both are reinforced."""
    ious = {"easy": 0.9, "edge": 0.8, "middle": 0.6, "low": 0.4, "hard": 0.39, "none": 0.0}
    samples = [sample(name) for name in [*ious, "unasked"]]
    split = split_by_teacher(samples, [trace(name, iou) for name, iou in ious.items()], TVGR1Rule())
    assert [t.sample_id for t in split.cold_start] == ["easy"]
    assert [s.sample_id for s in split.reinforce] == ["edge", "middle", "low"]
    assert (split.num_too_hard, split.num_unanswered) == (2, 1)


def test_answers_to_other_samples_are_counted_and_left_out() -> None:
    answers = [trace("a", 1.0), trace("other", 1.0), trace("other", 0.5)]
    split = split_by_teacher([sample("a")], answers, TVGR1Rule())
    assert [t.sample_id for t in split.cold_start] == ["a"] and split.num_other == 2


def test_tvg_r1_imitates_only_what_keeps_the_format_and_each_text_once() -> None:
    broken = trace("a", 1.0, follows_format=False)
    split = split_by_teacher([sample("a"), sample("b")], [broken, trace("b", 1.0), trace("b", 1.0)], TVGR1Rule())
    assert [t.sample_id for t in split.cold_start] == ["b"]
    assert [s.sample_id for s in split.reinforce] == ["a"]


@pytest.mark.parametrize(("eps1", "eps2"), [(0.3, 0.4), (1.2, 0.4), (0.8, -0.1), (float("nan"), 0.4)])
def test_thresholds_that_cannot_be_are_refused(eps1: float, eps2: float) -> None:
    with pytest.raises(ValueError, match="eps2 <= eps1"):
        TVGR1Rule(eps1, eps2)


def test_traces_of_unknown_truth_teach_nothing() -> None:
    unknown = trace("a", 0.9, windows=None)
    assert split_by_teacher([sample("a")], [unknown], TVGR1Rule()).cold_start == []
