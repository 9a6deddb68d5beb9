"""TimeLens2's weights, by hand and beside the values of the release."""

import json
import math
from pathlib import Path

import pytest

from tvg_lightning.filter.timelens2 import TimeLens2Rule, weighted
from tvg_lightning.parsing import read_strict
from tvg_lightning.schema import AnswerFormat, Method, Sample, Span
from tvg_lightning.span_sets import covered_s, set_iou


def sample(name: str, duration_s: float = 40.0, query: str = "it moves") -> Sample:
    return Sample(name, f"{name}.mp4", duration_s, query, (Span(0.0, 4.0),))


def weights(samples: list[Sample]) -> dict[str, float]:
    return {one.sample_id: one.weight for one in samples}


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
