"""Time-R1's draw, by hand and by counting."""

import math

import pytest

from tvg_lightning.filter.time_r1 import TimeR1Rule, draw_by_difficulty
from tvg_lightning.schema import Sample, Span


def sample(name: str) -> Sample:
    return Sample(name, f"{name}.mp4", 40.0, "q", (Span(0.0, 10.0),))


def test_time_r1_weights_by_hand() -> None:
    assert TimeR1Rule().weight(0.5) == pytest.approx(math.exp(-0.5))
    assert TimeR1Rule().weight(1.0) == pytest.approx(math.exp(-(0.7**2) / 0.08))


def test_time_r1_never_draws_the_hopeless_and_keeps_the_order() -> None:
    samples = [sample(str(number)) for number in range(10)]
    ious = {str(number): number / 10 for number in range(9)}  # "9" was not answered
    drawn = draw_by_difficulty(samples, ious, TimeR1Rule(num_samples=100))
    assert [s.sample_id for s in drawn] == [str(number) for number in range(1, 9)]


def test_time_r1_draws_by_weight() -> None:
    """One of two, many times: weights 1 and exp(-0.5) give 0.622 of the draws to the first."""
    samples, ious = [sample("a"), sample("b")], {"a": 0.3, "b": 0.5}
    draws = [draw_by_difficulty(samples, ious, TimeR1Rule(num_samples=1, seed=seed))[0] for seed in range(4000)]
    share = sum(s.sample_id == "a" for s in draws) / len(draws)
    assert share == pytest.approx(1 / (1 + math.exp(-0.5)), abs=4 * math.sqrt(0.24 / 4000))
    rule = TimeR1Rule(num_samples=1, seed=5)
    assert draw_by_difficulty(samples, ious, rule) == draw_by_difficulty(samples, ious, rule)


def test_gaussians_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="std above 0"):
        TimeR1Rule(std=0.0)
    with pytest.raises(ValueError, match="num_samples"):
        TimeR1Rule(num_samples=0)
