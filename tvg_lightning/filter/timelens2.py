"""TimeLens2's difficulty control: weights by which training draws, the hard samples first."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tvg_lightning.parsing import read_strict
from tvg_lightning.schema import AnswerFormat, Sample
from tvg_lightning.span_sets import answer_iou


@dataclass(frozen=True)
class TimeLens2Rule:
    """TimeLens2's weights (arXiv 2607.17423): ``(1 - mean IoU + 1e-8) ** power``, the hard ones likelier.

    few_answers: the weight of a sample with fewer than two answers. "average": the mean of all other weights, so that
    it is neither preferred nor passed over. "largest": 1, as in the release, against its text, which says uniform.

    Args:
        power: exponent of 1 - mean IoU.
        few_answers: weight of a sample with fewer than two answers: the mean of the others, or 1.
    """

    power: float = 2.0
    few_answers: Literal["average", "largest"] = "average"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.power) and self.power > 0):
            raise ValueError(f"rule.power must be a positive number, not {self.power}")

    def weight(self, mean_iou: float) -> float:
        """The weight of a sample.

        >>> round(TimeLens2Rule().weight(0.5), 6)
        0.25
        """
        return (1.0 - mean_iou + 1e-8) ** self.power


def stored_ious(samples: Iterable[Sample], form: AnswerFormat) -> Iterator[tuple[str, float]]:
    """Sample id and IoU of every answer that came with the data, read as the reward would read it."""
    for sample in samples:
        if sample.windows is not None:
            for text in sample.rollouts:
                yield sample.sample_id, answer_iou(read_strict(text, form), sample.windows)


def weighted(samples: Sequence[Sample], ious: Iterable[tuple[str, float]], rule: TimeLens2Rule) -> list[Sample]:
    """The samples with the weights that follow from the IoUs of a model's answers, given with sample ids.

    ValueError where no sample has two answers.
    """
    found: dict[str, list[float]] = {}
    for name, iou in ious:
        found.setdefault(name, []).append(iou)
    weights = {
        sample.sample_id: rule.weight(math.fsum(given) / len(given))
        for sample in samples
        if len(given := found.get(sample.sample_id, [])) >= 2
    }
    if not weights:
        raise ValueError("no sample has two answers: a mean of one says little, so let the model answer several times")
    other = 1.0 if rule.few_answers == "largest" else math.fsum(weights.values()) / len(weights)
    return [replace(sample, weight=weights.get(sample.sample_id, other)) for sample in samples]
