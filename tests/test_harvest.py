from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import GOOD_TRACE as GOOD
from tvg_lightning.harvest import HarvestRule, harvest, is_refining, refusal
from tvg_lightning.schema import Span, Task
from tvg_lightning.spans import is_usable
from tvg_lightning.traces import Trace

TRUTH = GOOD.windows[0]
RULE = HarvestRule()


def test_a_refined_trace_is_kept() -> None:
    assert refusal(GOOD, RULE) is None
    assert harvest([GOOD], RULE) == [GOOD]


@pytest.mark.parametrize(
    ("trace", "reason"),
    [
        (replace(GOOD, task=Task.VIDEO_DESCRIPTION), "another task"),
        (replace(GOOD, windows=None), "truth unknown"),
        (replace(GOOD, windows=()), "not in the video"),
        (replace(GOOD, follows_format=False), "format"),
        (replace(GOOD, spans=None), "no answer"),
        (replace(GOOD, anchors=GOOD.anchors[:1]), "too few anchors"),
        (replace(GOOD, spans=(Span(10.0, 14.9),)), "answer too far off"),
        (replace(GOOD, anchors=(*GOOD.anchors, Span(30.0, 31.0))), "last anchor too far off"),
        (replace(GOOD, anchors=GOOD.anchors[::-1]), "no refinement"),  # 0.8 then 0.71
        (replace(GOOD, anchors=(Span(10.0, 18.0), Span(12.0, 20.0))), "no refinement"),  # 0.8 twice
        (
            replace(GOOD, spans=(Span(10.0, 17.0),)),
            "no refinement",
        ),  # the answer falls behind the second anchor
    ],
)
def test_each_reason_is_named(trace: Trace, reason: str) -> None:
    assert refusal(trace, RULE) == reason
    assert harvest([trace], RULE) == []


def test_an_answer_as_good_as_the_last_anchor_is_kept() -> None:
    assert refusal(replace(GOOD, spans=(GOOD.anchors[1],)), RULE) is None


def test_the_threshold_itself_is_kept() -> None:
    at_half = replace(GOOD, anchors=(Span(0.0, 1.0), Span(10.0, 15.0)), spans=(Span(10.0, 15.0),))
    assert refusal(at_half, RULE) is None
    assert refusal(at_half, HarvestRule(min_answer_iou=0.51)) == "answer too far off"
    assert refusal(at_half, HarvestRule(min_last_anchor_iou=0.51)) == "last anchor too far off"


def test_disjoint_anchors_are_compared_by_soft_iou() -> None:
    """Both have IoU 0, yet the second is nearer: a gap of 2 s in a hull of 13 s against 8 in 19."""
    nearer = replace(GOOD, anchors=(Span(1.0, 2.0), Span(7.0, 8.0), Span(10.0, 18.0)))
    assert refusal(nearer, RULE) is None
    farther = replace(nearer, anchors=(nearer.anchors[1], nearer.anchors[0], nearer.anchors[2]))
    assert refusal(farther, RULE) == "no refinement"


def test_several_windows_are_scored_at_their_best() -> None:
    assert refusal(replace(GOOD, windows=(Span(30.0, 31.0), TRUTH)), RULE) is None


def test_a_text_counts_once_a_query() -> None:
    other = replace(GOOD, sample_id="s2")
    assert harvest([GOOD, replace(GOOD, step=5), other], RULE) == [GOOD, other]


def test_the_best_of_a_query_are_taken_in_their_first_order() -> None:
    low = replace(GOOD, text="low", spans=(Span(10.0, 18.5),))
    mid = replace(GOOD, text="mid", spans=(Span(10.0, 19.0),))
    high = replace(GOOD, text="high", spans=(Span(10.0, 19.5),))
    other = replace(low, sample_id="s2")
    assert harvest([mid, low, other, high], HarvestRule(max_per_sample=1)) == [other, high]
    assert harvest([mid, low, other, high], HarvestRule(max_per_sample=2)) == [mid, other, high]
    assert harvest([mid, low, other, high], RULE) == [mid, low, other, high]


def worth(score: float) -> Span:
    """A span inside the truth with this IoU."""
    return Span(10.0, 10.0 + 10.0 * score)


@pytest.mark.parametrize(
    ("anchors", "answer", "expected"),
    [
        ([worth(0.2), worth(0.5)], worth(0.8), True),
        ([worth(0.2), worth(0.5), worth(0.8)], worth(0.8), True),  # the answer may stand still
        ([worth(0.2), worth(0.2)], worth(0.8), False),  # an anchor may not
        ([worth(0.5), worth(0.2), worth(0.8)], worth(0.9), False),
        ([worth(0.2), worth(0.8), worth(0.5)], worth(0.9), False),
        ([worth(0.2), worth(0.8)], worth(0.5), False),
        ([Span(0.0, 1.0), Span(0.0, 8.0)], Span(0.0, 9.0), True),  # all apart, ever nearer
        ([worth(0.2)], worth(0.8), False),  # nothing to compare
        ([], worth(0.8), False),
        ([worth(0.2), worth(0.5)], None, False),
        ([Span(0.0, 1.0), Span(0.0, 2.0)], Span(9.0, 8.0), False),  # its soft IoU of 0 is above the anchors'
        ([Span(0.0, 1.0), Span(9.0, 8.0)], worth(0.8), False),
    ],
)
def test_refining_by_hand(anchors: list[Span], answer: Span | None, expected: bool) -> None:
    assert is_refining(anchors, answer, [TRUTH]) is expected
    assert is_refining(anchors, answer, [Span(500.0, 501.0), TRUTH]) is expected
    assert not is_refining(anchors, answer, [])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("min_anchors", 1),
        ("min_answer_iou", 1.5),
        ("min_last_anchor_iou", float("nan")),
        ("max_per_sample", 0),
    ],
)
def test_bad_settings_name_their_key(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{key}: "):
        HarvestRule(**{key: value})  # type: ignore[arg-type]


times = st.floats(0.0, 40.0)
spans = st.builds(lambda a, b: Span(min(a, b), max(a, b)), times, times)


@given(first=spans, second=spans, answer=spans, tau=st.sampled_from((0.3, 0.5, 0.7)))
def test_a_harder_threshold_keeps_no_more(first: Span, second: Span, answer: Span, tau: float) -> None:
    trace = replace(GOOD, anchors=(first, second), spans=(answer,))
    if refusal(trace, HarvestRule(min_answer_iou=tau, min_last_anchor_iou=tau)) is None:
        assert refusal(trace, HarvestRule(min_answer_iou=tau - 0.2, min_last_anchor_iou=tau - 0.2)) is None


@given(first=spans, second=spans, answer=spans)
def test_two_anchors_refine_where_the_harvest_says_so(first: Span, second: Span, answer: Span) -> None:
    anywhere = HarvestRule(min_answer_iou=0.0, min_last_anchor_iou=0.0)
    usable = all(map(is_usable, (first, second, answer)))
    kept = refusal(replace(GOOD, anchors=(first, second), spans=(answer,)), anywhere) is None
    assert is_refining((first, second), answer, GOOD.windows) == (kept and usable)
