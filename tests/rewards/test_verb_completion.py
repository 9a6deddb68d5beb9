import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.rewards.verb_completion import verb_completion_reward
from tvg_lightning.tasks.verbs import remove_first_verb, verb_lemmas


@pytest.mark.parametrize(
    ("content", "query_verbs", "reward"),
    [
        ("The red circle rises.", ("rise",), 1.0),
        ("The red circle is rising.", ("rise",), 1.0),  # another form of the verb
        ("The red circle falls.", ("rise",), 0.0),
        ("The red circle ____.", ("rise",), 0.0),
        ("a person opens the door", ("open", "walk"), 0.0),  # all verbs of the query
        ("a person opens the door and walks away", ("open", "walk"), 1.0),
        ("a person opens the door and walks away", ("open",), 1.0),
        ("", ("rise",), 0.0),
        (None, ("rise",), 0.0),
        ("The red circle rises.", (), 0.0),
    ],
)
def test_hand_computed(content: str | None, query_verbs: tuple[str, ...], reward: float) -> None:
    assert verb_completion_reward(content, query_verbs) == reward


@pytest.mark.parametrize(
    "query", ["The red circle rises.", "a person opens the door and walks away", "She is putting down a book."]
)
def test_one_for_the_query_and_zero_for_what_was_asked(query: str) -> None:
    assert verb_completion_reward(query, verb_lemmas(query)) == 1.0
    assert verb_completion_reward(remove_first_verb(query), verb_lemmas(query)) == 0.0


@given(st.text(), st.lists(st.sampled_from(("rise", "open", "walk")), unique=True))
def test_one_or_zero_and_never_better_with_a_verb_more_to_find(text: str, verbs: list[str]) -> None:
    rewards = [verb_completion_reward(f"{text} opens, rises", verbs[:k]) for k in range(1, len(verbs) + 1)]
    assert set(rewards) <= {0.0, 1.0}
    assert rewards == sorted(rewards, reverse=True)
