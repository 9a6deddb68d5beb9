"""Time-R1's offline difficulty control: a training set drawn by a Gaussian over the base model's IoU."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tvg_lightning.schema import Sample


@dataclass(frozen=True)
class TimeR1Rule:
    """Time-R1's Gaussian over the base model's IoU (arXiv 2503.13377): neither easy nor hopeless is likeliest.

    Args:
        num_samples: samples to draw.
        mean: IoU that is drawn likeliest.
        std: width of the Gaussian, in IoU.
        seed: seed of the draw.
    """

    num_samples: int = 2500
    mean: float = 0.3
    std: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise ValueError(f"rule.num_samples must be at least 1, not {self.num_samples}")
        if not (math.isfinite(self.mean) and math.isfinite(self.std) and self.std > 0):
            raise ValueError(f"rule: mean and a std above 0 are needed, not {self.mean} and {self.std}")

    def weight(self, iou: float) -> float:
        """Likelihood that a sample is drawn, up to a factor: ``exp(-(IoU - mean)^2 / (2 std^2))``, 0 at IoU 0.

        >>> TimeR1Rule().weight(0.3), TimeR1Rule().weight(0.0)
        (1.0, 0.0)
        """
        return math.exp(-((iou - self.mean) ** 2) / (2 * self.std**2)) if iou > 0 else 0.0


def draw_by_difficulty(samples: Sequence[Sample], ious: Mapping[str, float], rule: TimeR1Rule) -> list[Sample]:
    """Time-R1's training set: ``num_samples`` drawn without replacement by weight, in their first order.

    All with a weight above 0, if those are fewer. Drawn by the largest ``u ** (1 / weight)`` (Efraimidis and
    Spirakis, 2006), u uniform and seeded: the same seed gives the same set.
    """
    dice = random.Random(rule.seed)
    keys: dict[str, float] = {}
    for sample in samples:
        weight = rule.weight(ious.get(sample.sample_id, 0.0))
        u = dice.random()
        if weight > 0:
            keys[sample.sample_id] = math.log(u) / weight if u > 0 else -math.inf
    chosen = set(sorted(keys, key=lambda sample_id: -keys[sample_id])[: rule.num_samples])
    return [sample for sample in samples if sample.sample_id in chosen]
