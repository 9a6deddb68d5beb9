"""Which samples a pass keeps, and that loading, resuming and reading ahead respect it."""

from collections.abc import Iterator

import pytest

from tests.data.test_batches import loader_of
from tvg_lightning.data.batches import Batches, Sharding, TrainingLoader
from tvg_lightning.data.difficulty import DifficultyBand, OnlineDifficulty
from tvg_lightning.data.items import Draw

IOUS = {0: 0.0, 1: 0.1, 2: 0.7, 3: 0.71, 4: 1.0, 5: 0.4}  # 1, 2 and 5 lie in Time-R1's band


@pytest.mark.parametrize(("low", "high"), [(-0.1, 0.5), (0.5, 0.5), (0.2, 1.1), (float("nan"), 1.0)])
def test_a_band_that_holds_nothing_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="min_iou < max_iou"):
        DifficultyBand(low, high)


def test_a_pass_keeps_what_is_neither_solved_nor_hopeless_or_was_not_asked() -> None:
    difficulty = OnlineDifficulty(DifficultyBand(), num_samples=7, fewest=1)
    for index, iou in IOUS.items():
        difficulty.report(index, iou)
    difficulty.close_pass()
    assert difficulty.kept == [[0, 1, 2, 3, 4, 5, 6], [1, 2, 5, 6]]
    difficulty.report(0, 0.5)  # it was left out: a drawn item does not bring it back
    difficulty.report(2, 0.9)
    difficulty.close_pass()
    assert difficulty.kept[-1] == [1, 5, 6]


def test_a_pass_never_shrinks_below_a_batch() -> None:
    difficulty = OnlineDifficulty(DifficultyBand(), num_samples=6, fewest=4)
    difficulty.ious = dict(IOUS)
    difficulty.close_pass()
    assert difficulty.kept[-1] == list(range(6)) and difficulty.ious == {}


def loader(difficulty: OnlineDifficulty, num_batches: int, is_eager: bool = False, **changes: int) -> TrainingLoader:
    batches = Batches(
        difficulty.num_samples, num_batches, 2, 0, seed=1, sharding=Sharding(), difficulty=difficulty, **changes
    )
    return loader_of(batches, is_eager=is_eager)


def answered(draws: Iterator[list[Draw]], difficulty: OnlineDifficulty, num: int) -> list[list[int]]:
    """Take batches and report on each as training would."""
    taken = []
    for _ in range(num):
        batch = next(draws)
        for draw in batch:
            difficulty.report(draw.index, IOUS[draw.index])
        taken.append([draw.index for draw in batch])
    return taken


@pytest.mark.parametrize("is_eager", [False, True])
def test_the_second_pass_draws_from_what_was_kept(is_eager: bool) -> None:
    difficulty = OnlineDifficulty(DifficultyBand(), num_samples=6, fewest=2)
    draws = iter(loader(difficulty, num_batches=6, is_eager=is_eager))
    first = answered(draws, difficulty, 3)  # type: ignore[arg-type]
    assert sorted(index for batch in first for index in batch) == list(range(6))
    assert difficulty.kept == [list(range(6))], "nothing is decided before the next batch is wanted"
    second = answered(draws, difficulty, 3)  # type: ignore[arg-type]
    assert difficulty.kept[1] == [1, 2, 5]
    assert all(len(set(batch)) == 2 and set(batch) <= {1, 2, 5} for batch in second)
    assert [list(draws)] == [[]], "as many batches as were ordered, however short the passes are"


def test_each_batch_is_given_once_an_update() -> None:
    difficulty = OnlineDifficulty(DifficultyBand(), num_samples=6, fewest=2)
    batches = [batch for batch in loader(difficulty, num_batches=5, repeats=2)]
    assert [batches[0] is batches[1], batches[2] is batches[3], batches[3] is batches[4]] == [True, True, False]


@pytest.mark.parametrize("stop", range(1, 8))
def test_a_resumed_loader_goes_on_with_the_same_batches(stop: int) -> None:
    whole_difficulty = OnlineDifficulty(DifficultyBand(), num_samples=6, fewest=2)
    whole = answered(iter(loader(whole_difficulty, 8)), whole_difficulty, 8)  # type: ignore[arg-type]
    difficulty = OnlineDifficulty(DifficultyBand(), num_samples=6, fewest=2)
    cut = loader(difficulty, 8)
    before = answered(iter(cut), difficulty, stop)  # type: ignore[arg-type]
    state = cut.state_dict()
    difficulty = OnlineDifficulty(DifficultyBand(), num_samples=6, fewest=2)
    resumed = loader(difficulty, 8)
    resumed.load_state_dict(state)
    assert before + answered(iter(resumed), difficulty, 8 - stop) == whole  # type: ignore[arg-type]
    assert difficulty.kept == whole_difficulty.kept


def test_only_samples_of_the_pass_take_the_place_of_others() -> None:
    difficulty = OnlineDifficulty(DifficultyBand(), num_samples=6, fewest=2, kept=[list(range(6)), [1, 2, 5]])
    batches = Batches(6, 6, 2, 0, seed=1, sharding=Sharding(), difficulty=difficulty)
    drawn, *others = batches.candidates(3)[0]
    assert {drawn.index, *(other.index for other in others)} == {1, 2, 5} and len(others) == 2
    assert {(other.epoch, other.position) for other in others} == {(1, 6)}


def test_what_cannot_be_read_leaves_the_pool_and_the_count() -> None:
    """Two of six cannot be read: they are not 'not answered', and do not stand for the samples that a batch needs."""
    difficulty = OnlineDifficulty(DifficultyBand(), num_samples=6, fewest=3)
    for index in (0, 1, 2, 5):  # 1, 2 and 5 lie in the band
        difficulty.report(index, IOUS[index])
    difficulty.unreadable = {3, 4}
    state = difficulty.state_dict()
    difficulty.close_pass()
    assert difficulty.kept[-1] == [1, 2, 5]
    difficulty.report(1, 1.0)
    difficulty.close_pass()
    assert difficulty.kept[-1] == [1, 2, 5], "two are too few, and those that cannot be read do not fill up"
    again = OnlineDifficulty(DifficultyBand(), num_samples=6, fewest=3)
    again.load_state_dict(state)
    again.close_pass()
    assert again.kept[-1] == [1, 2, 5]


def test_with_too_few_that_can_be_read_the_pool_stays() -> None:
    difficulty = OnlineDifficulty(DifficultyBand(), num_samples=4, fewest=3)
    difficulty.unreadable = {0, 1}
    difficulty.close_pass()
    assert difficulty.kept[-1] == [0, 1, 2, 3], "their places are taken by others, as in every pass"
