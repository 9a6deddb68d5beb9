import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tvg_lightning.rewards.anchor import anchor_accuracy_reward, anchor_count_reward, anchor_refinement_reward
from tvg_lightning.rewards.weights import AnchorSettings
from tvg_lightning.schema import Span
from tvg_lightning.spans import is_usable, soft_iou

TRUTH = Span(10.0, 20.0)
SETTINGS = AnchorSettings()


def worth(score: float) -> Span:
    """A span inside the truth with this IoU."""
    return Span(10.0, 10.0 + 10.0 * score)


@pytest.mark.parametrize(
    ("anchors", "reward"),
    [
        ([], 0.0),
        ([worth(0.5)], 0.5),
        ([worth(0.2), worth(0.8)], (0.2 + 2 * 0.8) / 3),
        ([worth(0.8), worth(0.2)], (0.8 + 2 * 0.2) / 3),  # the later counts more
        ([Span(0, 5), TRUTH], (-5 / 20 + 2 * 1.0) / 3),
        ([TRUTH] * 5, 1.0),
    ],
)
def test_accuracy_hand_computed(anchors: list[Span], reward: float) -> None:
    assert anchor_accuracy_reward(anchors, TRUTH) == pytest.approx(reward)


@pytest.mark.parametrize(
    ("anchors", "answer", "reward"),
    [
        ([], TRUTH, 0.0),
        ([worth(0.2), worth(0.5)], worth(0.8), 1.0),
        ([worth(0.5), worth(0.2)], worth(0.8), 0.5),
        ([worth(0.8), worth(0.5)], worth(0.2), 0.0),
        ([worth(0.5), worth(0.5)], worth(0.5), 0.0),  # to stand still is not to refine
        ([worth(0.96), worth(0.95)], worth(0.97), 1.0),  # all good enough: worse by a hair is no fault
        ([worth(0.94), worth(0.93)], worth(0.97), 0.5),
        ([worth(0.96)], worth(0.5), 0.0),  # both must be good enough
        ([Span(0, 5), Span(0, 9)], TRUTH, 1.0),  # closer, though still apart
        ([Span(0, 5)], None, 0.0),  # 0 is above -0.25, yet no answer is no refinement
        ([Span(0, 5)], Span(7.0, 6.0), 0.0),
    ],
)
def test_refinement_hand_computed(anchors: list[Span], answer: Span | None, reward: float) -> None:
    assert anchor_refinement_reward(anchors, answer, TRUTH, SETTINGS) == pytest.approx(reward)


def test_a_bad_first_anchor_does_not_pay() -> None:
    """Sums of gains would telescope to answer minus first anchor, and reward a first anchor thrown away."""
    honest, staged = [worth(0.6), worth(0.7)], [worth(0.1), worth(0.7)]
    gained = [anchor_refinement_reward(anchors, TRUTH, TRUTH, SETTINGS) for anchors in (honest, staged)]
    assert gained[0] == gained[1] == 1.0
    assert anchor_accuracy_reward(honest, TRUTH) > anchor_accuracy_reward(staged, TRUTH)


@pytest.mark.parametrize(("num_anchors", "reward"), [(0, 0), (1, 0), (2, 0), (3, -0.5), (4, -1), (5, -1), (99, -1)])
def test_count_hand_computed(num_anchors: int, reward: float) -> None:
    assert anchor_count_reward(num_anchors, SETTINGS) == reward


def test_the_settings_are_used() -> None:
    assert anchor_count_reward(5, AnchorSettings(max_anchors=3, penalty=0.1, floor=-9.0)) == pytest.approx(-0.2)
    lax = AnchorSettings(saturation=0.4)
    assert anchor_refinement_reward([worth(0.6)], worth(0.5), TRUTH, lax) == 1.0


whole_spans = st.tuples(st.integers(0, 60), st.integers(1, 60)).map(lambda t: Span(float(t[0]), float(t[0] + t[1])))


@given(st.lists(whole_spans, max_size=6), whole_spans, whole_spans, st.integers(0, 100))
def test_bounded_and_unmoved_by_a_shift(anchors: list[Span], answer: Span, truth: Span, shift_s: int) -> None:
    def moved(span: Span) -> Span:
        return Span(span.start_s + shift_s, span.end_s + shift_s)

    accuracy = anchor_accuracy_reward(anchors, truth)
    refinement = anchor_refinement_reward(anchors, answer, truth, SETTINGS)
    assert -1.0 < accuracy <= 1.0
    assert 0.0 <= refinement <= 1.0
    assert anchor_accuracy_reward([moved(a) for a in anchors], moved(truth)) == accuracy
    assert anchor_refinement_reward([moved(a) for a in anchors], moved(answer), moved(truth), SETTINGS) == refinement


@given(st.lists(whole_spans, min_size=1, max_size=5), whole_spans)
def test_from_worst_to_best_is_the_best_order(anchors: list[Span], truth: Span) -> None:
    assume(len({soft_iou(anchor, truth) for anchor in anchors}) == len(anchors))  # a repeat is no refinement
    ordered = sorted(anchors, key=lambda anchor: soft_iou(anchor, truth))
    best = anchor_accuracy_reward(ordered, truth)
    assert best >= anchor_accuracy_reward(anchors, truth) - 1e-12
    refined = anchor_refinement_reward(ordered, truth, truth, SETTINGS)
    assert refined >= anchor_refinement_reward(anchors, truth, truth, SETTINGS)


@given(whole_spans, st.integers(1, 6), st.lists(st.integers(0, 80), min_size=2, max_size=6))
def test_all_at_the_truth_is_one_and_drifting_away_never_helps(truth: Span, num: int, drifts: list[int]) -> None:
    def drifted(drift: int) -> float:
        return anchor_accuracy_reward([Span(truth.start_s + drift, truth.end_s + drift)] * num, truth)

    rewards = [drifted(drift) for drift in [0, *sorted(drifts)]]
    assert rewards[0] == pytest.approx(1.0)
    assert rewards == sorted(rewards, reverse=True)
    assert anchor_refinement_reward([truth] * num, truth, truth, SETTINGS) == 1.0


@given(st.integers(0, 99), st.integers(1, 9), st.floats(0.0, 9.0), st.floats(-9.0, 0.0))
def test_one_anchor_more_is_never_paid(num: int, allowed: int, penalty: float, floor: float) -> None:
    settings = AnchorSettings(max_anchors=allowed, penalty=penalty, floor=floor)
    reward, next_reward = anchor_count_reward(num, settings), anchor_count_reward(num + 1, settings)
    assert floor <= next_reward <= reward <= 0.0
    assert num > allowed or reward == 0.0


edges = st.floats() | st.sampled_from((math.nan, math.inf, -math.inf, 12.0))
any_spans = st.builds(Span, edges, edges)


@given(st.lists(any_spans, max_size=5), any_spans)
def test_no_span_raises_or_leaves_the_range(anchors: list[Span], answer: Span) -> None:
    assert -1.0 <= anchor_accuracy_reward(anchors, TRUTH) <= 1.0
    assert 0.0 <= anchor_refinement_reward(anchors, answer, TRUTH, SETTINGS) <= 1.0
    bad = [anchor for anchor in anchors if not is_usable(anchor)]
    assert anchor_accuracy_reward(bad, TRUTH) == 0.0
    assert anchor_refinement_reward(bad, None, TRUTH, SETTINGS) == 0.0
