"""TimeLens's draw and TimeLens2's weights, by hand, by counting, and beside the values of a release."""

import json
import math
from collections import Counter
from pathlib import Path

import pytest

from tvg_lightning.filter_timelens import TimeLens2Rule, TimeLensRule, draw_by_duration, weighted
from tvg_lightning.parsing import read_strict
from tvg_lightning.schema import AnswerFormat, Method, Sample, Span
from tvg_lightning.span_sets import covered_s, set_iou


def sample(name: str, duration_s: float = 40.0, query: str = "it moves") -> Sample:
    return Sample(name, f"{name}.mp4", duration_s, query, (Span(0.0, 4.0),))


def weights(samples: list[Sample]) -> dict[str, float]:
    return {one.sample_id: one.weight for one in samples}


# ---- TimeLens2


def test_weights_by_hand() -> None:
    """Means 0.5 and 0: weights 0.25 and 1; one answer is too few, and gets their mean."""
    ious = [("a", 0.4), ("a", 0.6), ("b", 0.0), ("b", 0.0), ("c", 0.9), ("other", 0.3)]
    samples = [sample(name) for name in ("a", "b", "c", "d")]
    found = weights(weighted(samples, ious, TimeLens2Rule()))
    assert found == pytest.approx({"a": 0.25, "b": 1.0, "c": 0.625, "d": 0.625}, abs=1e-7)
    largest = weights(weighted(samples, ious, TimeLens2Rule(few_answers="largest")))
    assert largest == pytest.approx({"a": 0.25, "b": 1.0, "c": 1.0, "d": 1.0}, abs=1e-7)
    assert weights(weighted(samples, ious, TimeLens2Rule(power=1.0)))["a"] == pytest.approx(0.5)


def test_one_answer_each_is_refused() -> None:
    with pytest.raises(ValueError, match="no sample has two answers"):
        weighted([sample("a")], [("a", 0.5)], TimeLens2Rule())
    with pytest.raises(ValueError, match=r"rule\.power must be a positive number"):
        TimeLens2Rule(power=0.0)


def test_the_weights_of_timelens2(shared: Path) -> None:
    """Forty sets of samples: their mean IoUs, and their weights with the release's choice for too few answers.

    True windows that overlap count twice there and once here, so that those means are theirs.
    """
    cases = json.loads((shared / "data/oracles/timelens2_rewards.json").read_text(encoding="utf-8"))["weight_cases"]
    assert len(cases) == 40
    num_texts = num_alike = num_means = 0
    for case in cases:
        ious, samples = [], []
        for number, given in enumerate(case["samples"]):
            samples.append(sample(str(number)))
            windows = [Span(*window) for window in given["gt"]]
            mine = []
            for text, stored in zip(given["rollouts"], given["rollout_intervals"], strict=True):
                spans = [Span(*map(float, window)) for window in stored]
                mine.append(set_iou(spans, windows))
                num_texts += 1
                num_alike += (read_strict(text, AnswerFormat(Method.TIMELENS2)).spans or ()) == tuple(spans)
            ious += [(str(number), given["mean_tiou"]) for _ in mine]
            if len(mine) >= 2 and sum(end - start for start, end in windows) == pytest.approx(covered_s(windows)):
                assert math.fsum(mine) / len(mine) == pytest.approx(given["mean_tiou"], abs=1e-6), case["id"]
                num_means += 1
        if max(len(given["rollouts"]) for given in case["samples"]) < 2:
            continue
        found = weights(weighted(samples, ious, TimeLens2Rule(few_answers="largest")))
        total = math.fsum(found.values())
        assert [found[s.sample_id] / total for s in samples] == pytest.approx(case["weights"], abs=1e-6), case["id"]
    assert num_means > 20
    assert num_alike > 0.9 * num_texts, "our reader and theirs, which drops the reversed windows of a list"


# ---- TimeLens


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
