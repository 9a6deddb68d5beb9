import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.rewards.iou import iou_reward
from tvg_lightning.rewards.timestamp_iou import timestamp_iou_reward
from tvg_lightning.schema import Span


@pytest.mark.parametrize(
    ("prediction", "windows", "reward"),
    [
        (Span(2, 6), [Span(2, 6)], 1.0),
        (Span(0, 4), [Span(2, 4)], 0.5 * 0.8 * 1.0),
        (Span(1, 5), [Span(2, 6)], 3 / 5 * 0.9 * 0.9),
        (Span(1, 5), [Span(6, 9)], 0.0),
        (Span(0, 30), [Span(1, 9)], 0.0),  # ends 21 s late in a video of 10 s: clamped, not negative
        (Span(-20, 5), [Span(1, 9)], 0.0),  # the same for the start
        (Span(-20, 30), [Span(1, 9)], 0.0),  # both factors below 0: their product must not turn positive
        (None, [Span(2, 6)], 0.0),
        (Span(2, 6), [], 0.0),
    ],
)
def test_hand_computed(prediction: Span | None, windows: list[Span], reward: float) -> None:
    assert timestamp_iou_reward(prediction, windows, duration_s=10.0) == pytest.approx(reward)


starts = st.integers(0, 40).map(float)
lengths = st.integers(1, 40).map(float)


@given(starts, lengths, starts, lengths, st.integers(0, 100).map(float))
def test_between_zero_and_iou_and_unmoved_by_a_shift(a: float, m: float, b: float, n: float, shift: float) -> None:
    prediction, truth = Span(a, a + m), Span(b, b + n)
    reward = timestamp_iou_reward(prediction, [truth], 80.0)
    assert 0.0 <= reward <= iou_reward(prediction, [truth])
    moved = timestamp_iou_reward(Span(a + shift, a + m + shift), [Span(b + shift, b + n + shift)], 80.0)
    assert moved == pytest.approx(reward)


@given(starts, lengths, st.lists(st.integers(-40, 40), min_size=2))
def test_one_at_the_truth_and_no_gain_in_drifting_away(start: float, length: float, drifts: list[int]) -> None:
    truth = Span(start, start + length)
    steps = [0, *sorted(drifts, key=abs)]
    rewards = [timestamp_iou_reward(Span(start + d, start + length + d), [truth], 80.0) for d in steps]
    assert rewards[0] == 1.0
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(rewards))


edges = st.floats() | st.sampled_from((math.nan, math.inf, -math.inf, 2.0))


@given(edges, edges)
def test_no_span_raises_or_leaves_the_range(start_s: float, end_s: float) -> None:
    reward = timestamp_iou_reward(Span(start_s, end_s), [Span(0.0, 4.0)], 10.0)
    assert 0.0 <= reward <= 1.0
    if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s < end_s):
        assert reward == 0.0
