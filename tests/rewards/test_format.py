from tvg_lightning.rewards.format import format_reward


def test_one_or_zero() -> None:
    assert format_reward(True) == 1.0
    assert format_reward(False) == 0.0
