"""TimeLens's draw, by hand and by counting."""

import math
from collections import Counter

import pytest

from tvg_lightning.filter.timelens import TimeLensRule, draw_by_duration
from tvg_lightning.schema import Sample, Span


def sample(name: str, duration_s: float = 40.0, query: str = "it moves") -> Sample:
    return Sample(name, f"{name}.mp4", duration_s, query, (Span(0.0, 4.0),))


def test_what_can_be_drawn() -> None:
    rule = TimeLensRule()
    assert rule.takes(sample("a")) and rule.takes(sample("a", 5.0)) and rule.takes(sample("a", 500.0))
    assert not rule.takes(sample("a", 4.9)) and not rule.takes(sample("a", 500.1))
    assert not rule.takes(sample("a", query="he " * 201)) and rule.takes(sample("a", query="he " * 200))
    heard = sample("a", query="We hear a dog, then a bell SOUNDS.")
    assert not rule.takes(heard) and TimeLensRule(drop_audio=False).takes(heard)
    assert rule.takes(sample("a", query="a soundless room")), "whole words only"


def test_every_bin_of_duration_gives_as_many() -> None:
    """Nine bins; 20 are 2 each and one more for the two of the shortest. The last bin has one sample only."""
    durations = [10.0, 45.0, 75.0, 105.0, 135.0, 165.0, 195.0, 225.0]
    samples = [sample(f"{d}-{n}", d) for d in durations for n in range(6)] + [sample("long", 300.0), sample("no", 20.0)]
    ious = {one.sample_id: 0.1 for one in samples if one.sample_id != "no"}
    draw = draw_by_duration(samples, ious, TimeLensRule(num_samples=20))
    assert draw.num_candidates == [6] * 8 + [1] and draw.num_drawn == [3, 3, 2, 2, 2, 2, 2, 2, 1]
    names = [one.sample_id for one in draw.samples]
    assert len(set(names)) == 19 and "no" not in names, "without an answer there is no difficulty"
    assert names == [one.sample_id for one in samples if one.sample_id in set(names)], "in their first order"
    assert draw == draw_by_duration(samples, ious, TimeLensRule(num_samples=20))
    assert draw != draw_by_duration(samples, ious, TimeLensRule(num_samples=20, seed=1))


def test_difficulty_and_density_decide_within_a_bin() -> None:
    """One of three, two of them alike with IoU 0.05, the third with 0.25: weights 1/2, 1/2 and exp(-1/2)."""
    samples, ious = [sample(name) for name in "abc"], {"a": 0.05, "b": 0.06, "c": 0.25}
    rule = TimeLensRule(num_samples=1, bin_s=500.0, last_bin_s=500.0)
    assert rule.num_bins == 2
    found = Counter(
        draw_by_duration(samples, ious, TimeLensRule(num_samples=1, bin_s=500.0, last_bin_s=500.0, seed=seed))
        .samples[0]
        .sample_id
        for seed in range(4000)
    )
    near = math.exp(-((0.01 / 0.2) ** 2) / 2)
    total = 0.5 + near / 2 + math.exp(-0.5)
    for name, weight in {"a": 0.5, "b": near / 2, "c": math.exp(-0.5)}.items():
        assert found[name] / 4000 == pytest.approx(weight / total, abs=4 * math.sqrt(0.25 / 4000))


def test_far_weights_do_not_vanish() -> None:
    """exp(-5000) is 0 as a number; a narrow Gaussian must still draw all that it is asked for."""
    samples, ious = [sample("a"), sample("b")], {"a": 1.0, "b": 0.9}
    draw = draw_by_duration(samples, ious, TimeLensRule(num_samples=18, std=0.005))
    assert len(draw.samples) == 2
    one = draw_by_duration(samples, ious, TimeLensRule(num_samples=2, std=0.005))
    assert [s.sample_id for s in one.samples] == ["b"], "the nearer of two that are far away"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"std": 0.0}, r"rule\.std must be above 0"),
        ({"num_samples": 0}, r"rule\.num_samples must be above 0"),
        ({"mean": math.nan}, r"rule\.mean must be a finite number"),
        ({"min_s": 600.0}, r"rule\.min_s is 600\.0, above max_s"),
    ],
)
def test_rules_that_cannot_be_are_refused(change: dict[str, float], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        TimeLensRule(**change)  # type: ignore[arg-type]
