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
