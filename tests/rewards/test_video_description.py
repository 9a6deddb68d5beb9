import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.rewards.video_description import video_description_reward


@pytest.mark.parametrize(
    ("content", "query_verbs", "reward"),
    [
        ("A red disc rises while a square spins.", ("rise",), 1.0),
        ("A red disc rises while a square spins.", ("spin", "jump"), 1.0),  # the first verb is asked for
        ("A red disc rises while a square spins.", ("jump", "spin"), 0.0),
        ("A red disc.", ("rise",), 0.0),
        (None, ("rise",), 0.0),
        ("A red disc rises.", (), 0.0),
    ],
)
def test_hand_computed(content: str | None, query_verbs: tuple[str, ...], reward: float) -> None:
    assert video_description_reward(content, query_verbs) == reward


@given(st.text(), st.sampled_from(("rise", "spin")))
def test_one_or_zero_by_the_first_verb_alone(text: str, other: str) -> None:
    reward = video_description_reward(text, ("rise",))
    assert reward in (0.0, 1.0)
    assert video_description_reward(text, ("rise", other)) == reward
