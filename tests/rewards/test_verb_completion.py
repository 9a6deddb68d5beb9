import pytest

from tvg_lightning.rewards.verb_completion import verb_completion_reward


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
