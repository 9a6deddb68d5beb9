from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
