"""The order of a pass over samples with weights: drawn without replacement, the heavier ones likelier to come early."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tvg_lightning.schema import Sample


@dataclass(frozen=True, eq=False)
class SampleWeights:
    """``weight`` of every sample of a training set; two of these are equal only if they are one."""

    values: tuple[float, ...]

    def order(self, seed: int) -> list[int]:
        """All samples as they are drawn, one after the other, each from what is left and in proportion to its weight.

        By falling ``log(u) / weight``, u uniform (Efraimidis and Spirakis, 2006); those of weight 0 come last, in their
        own order. The same seed gives the same order.
        """
        generator = torch.Generator().manual_seed(seed)
        u = torch.rand(len(self.values), generator=generator, dtype=torch.float64).clamp_min(1e-300)
        weight = torch.tensor(self.values, dtype=torch.float64)
        key = torch.where(weight > 0, u.log() / weight, -torch.inf)
        return key.argsort(descending=True, stable=True).tolist()

    def pick(self, among: Sequence[int], share: float) -> int:
        """The place in ``among`` of the sample that a number in [0, 1) falls on, in proportion to weight.

        >>> [SampleWeights((1.0, 0.0, 3.0)).pick([0, 1, 2], share) for share in (0.0, 0.24, 0.26, 0.99)]
        [0, 0, 2, 2]
        """
        left = share * sum(self.values[index] for index in among)
        for place, index in enumerate(among):
            left -= self.values[index]
            if left < 0:
                return place
        return max(place for place, index in enumerate(among) if self.values[index] > 0)  # rounding leaves a crumb


def weights_of(file: str, samples: Sequence[Sample], is_chosen_already: bool) -> SampleWeights | None:
    """The weights of a file's samples; None where all are equal, so that none is likelier than another.

    ValueError where none can be drawn, or where ``data.difficulty`` chooses among them already.
    """
    values = tuple(sample.weight for sample in samples)
    if not any(values):
        raise ValueError(f"data.train: {file}: every weight is 0, so no sample can be drawn: raise one")
    if min(values) == max(values):
        return None
    if is_chosen_already:
        raise ValueError(
            f"data.difficulty: samples of {file} have weights, too, and only one of the two can choose: set it to "
            "null, or take the weights out"
        )
    return SampleWeights(values)
