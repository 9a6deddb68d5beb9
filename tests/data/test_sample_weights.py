"""Draws by weight: by counting, and the order that training takes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tvg_lightning.data.batches import Batches, Sharding
from tvg_lightning.data.sample_weights import SampleWeights, weights_of
from tvg_lightning.schema import Sample, Span

SAMPLE = Sample("a", "a.mp4", 9.0, "it moves", (Span(1.0, 2.0),))


def samples(*weights: float) -> list[Sample]:
    return [replace(SAMPLE, sample_id=str(number), weight=weight) for number, weight in enumerate(weights)]


def drawn(weights: Sequence[float] | None, num_batches: int = 3, **changes: Any) -> list[int]:
    given = None if weights is None else SampleWeights(tuple(weights))
    plan = Batches(**{"num_samples": 6, "num_batches": num_batches, "batch_size": 2, "first_epoch": 0, "seed": 0,
                      "sharding": Sharding(), "weights": given, **changes})  # fmt: skip
    return [next(draw).index for batch in range(num_batches) for draw in plan.candidates(batch)]


def test_the_first_of_two_in_proportion() -> None:
    """Weights 3 and 1: the first comes first in three of four."""
    first = Counter(SampleWeights((3.0, 1.0)).order(seed)[0] for seed in range(4000))
    assert first[0] / 4000 == pytest.approx(0.75, abs=4 * (0.75 * 0.25 / 4000) ** 0.5)


def test_the_second_is_drawn_from_what_is_left() -> None:
    """Weights 2, 1, 1: the heavy one is second with 1/2 * 2/3 = 1/3."""
    second = Counter(SampleWeights((2.0, 1.0, 1.0)).order(seed)[1] for seed in range(4000))
    assert second[0] / 4000 == pytest.approx(1 / 3, abs=4 * (2 / 9 / 4000) ** 0.5)


def test_a_pass_shows_every_sample_once_and_the_weightless_last() -> None:
    order = drawn([1.0, 0.0, 5.0, 0.0, 1.0, 2.0])
    assert sorted(order) == list(range(6)) and order[-2:] == [1, 3]
    assert drawn([1.0, 0.0, 5.0, 0.0, 1.0, 2.0]) == order, "the same for the same seed"
    assert drawn([1.0, 0.0, 5.0, 0.0, 1.0, 2.0], seed=1) != order


def test_a_second_pass_has_another_order_and_two_ranks_share_one() -> None:
    weights = [float(number) for number in range(1, 7)]
    both = drawn(weights, num_batches=6)
    assert sorted(both[:6]) == sorted(both[6:]) == list(range(6)) and both[:6] != both[6:]
    halves = [drawn(weights, num_batches=3, batch_size=1, sharding=Sharding(rank, 2)) for rank in (0, 1)]
    assert [index for pair in zip(*halves, strict=True) for index in pair] == both[:6]


def test_equal_weights_are_none() -> None:
    assert weights_of("f", samples(1.0, 1.0), False) is None
    assert weights_of("f", samples(0.5, 0.5), True) is None, "then the difficulty alone chooses"
    found = weights_of("f", samples(0.5, 1.0), False)
    assert found is not None and found.values == (0.5, 1.0)


def test_weights_that_cannot_draw_are_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.train: train\.jsonl: every weight is 0"):
        weights_of("train.jsonl", samples(0.0, 0.0), False)
    with pytest.raises(ValueError, match=r"data\.difficulty: samples of train\.jsonl have weights, too"):
        weights_of("train.jsonl", samples(0.5, 1.0), True)
