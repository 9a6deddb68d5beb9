"""Each inversion task earns by its own reward."""

import pytest

from tvg_lightning.rewards.inversion import INVERSION_REWARDS
from tvg_lightning.schema import Task


def test_every_task_but_grounding_has_one() -> None:
    assert set(INVERSION_REWARDS) == set(Task) - {Task.TVG}


@pytest.mark.parametrize(
    ("task", "rewards"),
    [
        (Task.VERB_COMPLETION, [1.0, 0.0, 0.0]),  # every verb of the query
        (Task.ACTION_RECOGNITION, [0.0, 0.0, 1.0]),  # one word, any of its verbs
        (Task.VIDEO_DESCRIPTION, [1.0, 1.0, 0.0]),  # its first verb, in a sentence
    ],
)
def test_by_hand(task: Task, rewards: list[float]) -> None:
    texts = ["The circle rises, then it falls.", "The circle rises.", "falls"]
    assert [INVERSION_REWARDS[task](text, ("rise", "fall")) for text in texts] == rewards
