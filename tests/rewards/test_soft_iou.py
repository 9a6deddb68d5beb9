import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.rewards.iou import iou_reward
from tvg_lightning.rewards.soft_iou import soft_iou_reward
from tvg_lightning.schema import Span


@pytest.mark.parametrize(
    ("prediction", "windows", "reward"),
    [
        (Span(2, 6), [Span(2, 6)], 1.0),
        (Span(0, 2), [Span(6, 8)], -0.5),
        (Span(0, 2), [Span(14, 16), Span(6, 8)], -0.5),  # the nearer of two that it misses
        (None, [Span(6, 8)], 0.0),
        (Span(2, 6), [], 0.0),
    ],
)
def test_hand_computed(prediction: Span | None, windows: list[Span], reward: float) -> None:
    assert soft_iou_reward(prediction, windows) == pytest.approx(reward)


@given(st.integers(0, 400), st.integers(1, 400), st.sets(st.integers(1, 800), min_size=2))
def test_unlike_iou_every_step_away_costs(start: int, length: int, drifts: set[int]) -> None:
    truth = Span(float(start), float(start + length))
    rewards = [soft_iou_reward(Span(truth.start_s + d, truth.end_s + d), [truth]) for d in [0, *sorted(drifts)]]
    assert rewards[0] == 1.0
    assert all(nearer > farther for nearer, farther in pairwise(rewards))


whole_spans = st.tuples(st.integers(0, 60), st.integers(1, 60)).map(lambda t: Span(float(t[0]), float(t[0] + t[1])))
edges = st.floats() | st.sampled_from((math.nan, math.inf, -math.inf, 2.0))


@given(whole_spans, whole_spans, st.integers(0, 100))
def test_symmetric_bounded_unmoved_by_a_shift_and_iou_where_positive(a: Span, b: Span, shift_s: int) -> None:
    reward = soft_iou_reward(a, [b])
    assert -1.0 < reward <= 1.0
    assert max(0.0, reward) == iou_reward(a, [b])
    assert soft_iou_reward(b, [a]) == reward
    moved = [Span(s + shift_s, e + shift_s) for s, e in (a, b)]
    assert soft_iou_reward(moved[0], moved[1:]) == reward


@given(edges, edges)
def test_a_span_that_is_none_is_neither_paid_nor_fined(start_s: float, end_s: float) -> None:
    reward = soft_iou_reward(Span(start_s, end_s), [Span(0.0, 4.0)])
    assert -1.0 <= reward <= 1.0
    if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s < end_s):
        assert reward == 0.0
