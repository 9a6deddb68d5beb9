import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.rewards.iou import iou_reward
from tvg_lightning.schema import Span


@pytest.mark.parametrize(
    ("prediction", "windows", "reward"),
    [
        (Span(2, 6), [Span(2, 6)], 1.0),
        (Span(2, 6), [Span(20, 21), Span(4, 8)], 2 / 6),  # the window that fits best
        (Span(2, 6), [Span(8, 9)], 0.0),
        (None, [Span(8, 9)], 0.0),
        (Span(6, 2), [Span(2, 6)], 0.0),
    ],
)
def test_hand_computed(prediction: Span | None, windows: list[Span], reward: float) -> None:
    assert iou_reward(prediction, windows) == pytest.approx(reward)


@given(st.integers(0, 400), st.integers(1, 400), st.lists(st.integers(0, 800), min_size=2))
def test_drifting_away_never_helps(start: int, length: int, drifts: list[int]) -> None:
    truth = Span(float(start), float(start + length))
    rewards = [iou_reward(Span(truth.start_s + d, truth.end_s + d), [truth]) for d in [0, *sorted(drifts)]]
    assert rewards[0] == 1.0
    assert rewards == sorted(rewards, reverse=True)


whole_spans = st.tuples(st.integers(0, 60), st.integers(1, 60)).map(lambda t: Span(float(t[0]), float(t[0] + t[1])))
edges = st.floats() | st.sampled_from((math.nan, math.inf, -math.inf, 2.0))


@given(whole_spans, st.lists(whole_spans, min_size=1, max_size=3), st.integers(0, 100))
def test_bounded_unmoved_by_a_shift_and_no_worse_with_one_window_more(
    prediction: Span, windows: list[Span], shift_s: int
) -> None:
    reward = iou_reward(prediction, windows)
    assert 0.0 <= reward <= 1.0
    assert (reward == 1.0) == (prediction in windows)
    moved = [Span(s + shift_s, e + shift_s) for s, e in (prediction, *windows)]
    assert iou_reward(moved[0], moved[1:]) == reward
    assert reward >= iou_reward(prediction, windows[1:])


@given(edges, edges)
def test_only_a_span_that_runs_forward_in_finite_time_earns_something(start_s: float, end_s: float) -> None:
    reward = iou_reward(Span(start_s, end_s), [Span(0.0, 4.0)])
    assert 0.0 <= reward <= 1.0
    if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s < end_s):
        assert reward == 0.0
