import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(st.text(), st.sampled_from(("", "rise", "rise walk")))
def test_one_or_zero_and_zero_for_more_than_a_word(text: str, added: str) -> None:
    content = f"{text} {added}"
    reward = action_recognition_reward(content, ("rise", "walk"))
    assert reward in (0.0, 1.0)
    assert reward == 0.0 or len(content.split()) == 1
    assert action_recognition_reward(content, ()) == 0.0


@given(st.sampled_from(("rise", "walk")), st.text(alphabet=" .,;:!?\"'`*\n", max_size=6))
def test_one_for_a_verb_of_the_query_in_any_case_and_punctuation(verb: str, around: str) -> None:
    marks = "".join(around.split())
    assert action_recognition_reward(f" {marks}{verb.upper()}{marks}\n", ("rise", "walk")) == 1.0
