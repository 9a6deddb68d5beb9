import pytest

from tvg_lightning.rewards.action_recognition import action_recognition_reward


@pytest.mark.parametrize(
    ("content", "reward"),
    [
        ("rise", 1.0),
        ("Rises", 1.0),
        ("rising.", 1.0),
        ('"rose"', 1.0),
        ("walk", 1.0),  # any verb of the query
        ("fall", 0.0),
        ("rise fall spin walk", 0.0),  # a list of guesses
        ("the circle rises", 0.0),
        ("...", 0.0),
        ("", 0.0),
        (None, 0.0),
    ],
)
def test_hand_computed(content: str | None, reward: float) -> None:
    assert action_recognition_reward(content, ("rise", "walk")) == reward
