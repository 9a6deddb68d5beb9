import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.rewards.length import length_reward
from tvg_lightning.rewards.weights import LengthSettings


@pytest.mark.parametrize(
    ("num_tokens", "reward"),
    [
        (1, 0.0),
        (16384, 0.0),  # L_max - L_cache, the metrics of the paper
        (17408, -0.25),
        (18432, -0.5),
        (20480, -1.0),  # L_max
        (30000, -1.0),
    ],
)
def test_hand_computed(num_tokens: int, reward: float) -> None:
    assert length_reward(num_tokens, LengthSettings(max_tokens=20480, cache_tokens=4096)) == reward


@given(st.integers(1, 500), st.integers(0, 500), st.integers(1, 1500))
def test_between_minus_one_and_zero_and_a_token_more_costs_one_share_at_most(cache: int, free: int, num: int) -> None:
    settings = LengthSettings(max_tokens=free + cache, cache_tokens=cache)
    reward, next_reward = length_reward(num, settings), length_reward(num + 1, settings)
    assert -1.0 <= next_reward <= reward <= 0.0
    assert reward - next_reward <= 1 / cache + 1e-12
    assert (reward == 0.0) == (num <= free) and (reward == -1.0) == (num >= free + cache)
