"""Items drawn by a key, read again and reported on, over a pool in which one video is bad."""

import pytest

from tests.data.test_item_reader import MAKER, TablePool, sample
from tvg_lightning.data.bad_videos import BadVideos
from tvg_lightning.data.batches import Sharding
from tvg_lightning.data.difficulty import DifficultyBand, OnlineDifficulty
from tvg_lightning.data.item_reader import ItemReader
from tvg_lightning.data.items import Item
from tvg_lightning.data.sample_weights import SampleWeights
from tvg_lightning.data.training_set import TrainingSet
from tvg_lightning.schema import Task
from tvg_lightning.tasks.mixture import Mixture

SAMPLES = tuple(sample(number) for number in range(4))  # of which number 2 cannot be read


def training_set(seed: int = 0, rank: int = 0, **changes: object) -> TrainingSet:
    reader = ItemReader(MAKER, TablePool(bad=[2]), BadVideos(None, ()), prefetch=2)
    return TrainingSet(SAMPLES, reader, seed=seed, sharding=Sharding(rank, 2), **changes)  # type: ignore[arg-type]


def numbers(items: list[Item]) -> list[int]:
    return [int(item.sample.sample_id[1:]) for item in items]


def test_drawn_items_pass_over_bad_videos() -> None:
    """Eight items: those that fall on sample 2 are of the sample after it, under the position of the one drawn."""
    drawn = training_set()
    items = drawn.draw("key", 8)
    places = [item.position % 4 for item in items]
    assert 2 in places and numbers(items) == [3 if k == 2 else k for k in places]
    assert [item.replaces for item in items] == ["s2" if k == 2 else None for k in places]
    again = drawn.draw("key", 8)
    assert [(i.sample, i.position) for i in again] == [(i.sample, i.position) for i in items]


def test_other_keys_seeds_and_ranks_draw_others() -> None:
    sets = [
        (training_set(), "key"),
        (training_set(), "other"),
        (training_set(seed=1), "key"),
        (training_set(rank=1), "key"),
    ]
    positions = [tuple(item.position for item in one.draw(key, 3)) for one, key in sets]
    assert len(set(positions)) == 4
    assert positions[0] == tuple(item.position for item in training_set().draw("key", 4))[:3], "whatever the count"


def test_drawn_items_go_by_weight() -> None:
    weights = SampleWeights((0.0, 3.0, 0.0, 1.0))
    drawn = training_set(weights=weights).draw("key", 400)
    assert set(numbers(drawn)) == {1, 3} and numbers(drawn).count(1) == pytest.approx(300, abs=4 * 75**0.5)


def test_drawn_items_are_of_the_tasks_of_the_mixture() -> None:
    items = training_set(mixture=Mixture(0.0, 0.0, 1.0)).draw("key", 4)
    assert {item.task for item in items} == {Task.ACTION_RECOGNITION} and items[0].query_verbs == ("rise",)


def test_items_of_a_rollout_are_not_replaced() -> None:
    (item,) = training_set().items_again([("s3", Task.ACTION_RECOGNITION, 9)])
    assert (item.sample.sample_id, item.task, item.position) == ("s3", Task.ACTION_RECOGNITION, 9)
    with pytest.raises(ValueError, match="sample s2 cannot be read"):
        training_set().items_again([("s3", Task.TVG, 9), ("s2", Task.TVG, 10)])


def test_what_was_answered_decides_what_is_drawn_next() -> None:
    """Sample 0 was solved, sample 2 cannot be read; of the other two, sample 1 is in the band."""
    difficulty = OnlineDifficulty(DifficultyBand(), num_samples=4, fewest=1)
    drawn = training_set(difficulty=difficulty)
    drawn.report_ious({"s0": 1.0, "s1": 0.5, "s3": 0.0})
    drawn.report_unreadable(drawn.draw("key", 8))
    difficulty.close_pass()
    assert difficulty.kept[-1] == [1]
    assert numbers(drawn.draw("next", 4)) == [1] * 4


def test_without_difficulty_reports_go_nowhere() -> None:
    drawn = training_set()
    drawn.report_ious({"s0": 1.0})
    drawn.report_unreadable(drawn.draw("key", 8))
    assert set(numbers(drawn.draw("next", 16))) == {0, 1, 3}


def test_an_item_to_be_read_again_must_still_be_there() -> None:
    with pytest.raises(ValueError, match=r'sample "s9", which data.train no longer has'):
        training_set().items_again([("s9", Task.TVG, 0)])
