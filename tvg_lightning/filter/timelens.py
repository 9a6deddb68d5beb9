"""TimeLens's difficulty control: a set that is drawn once, as much of every length and rather hard."""

import math
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from tvg_lightning.schema import Sample

_AUDIO = re.compile(
    r"\b(?:audio|hear|hears|heard|hearing|listen|listens|listening|loud|loudly|noise|noises|sound|sounds|sounding|"
    r"voice|voices|voiceover)\b",
    flags=re.IGNORECASE,
)


@dataclass(frozen=True)
class TimeLensRule:
    """TimeLens's training set (arXiv 2512.14698): all lengths alike, and hard ones of every difficulty.

    Of each of the bins of ``bin_s`` seconds of duration up to ``last_bin_s``, and of all longer videos, as many are
    drawn, by ``exp(-((IoU - mean) / std) ** 2 / 2)`` divided by the number of the bin's samples of like IoU, which are
    counted in ``num_iou_bins`` bins. Left out before: videos shorter than ``min_s`` or longer than ``max_s``, queries
    of more than ``max_words`` words, and with ``drop_audio`` those about what is heard (the words are ours).

    Args:
        num_samples: samples to draw.
        mean: IoU that is drawn likeliest.
        std: width of the Gaussian, in IoU.
        num_iou_bins: bins in which samples of like IoU are counted.
        bin_s: seconds of a bin of durations.
        last_bin_s: seconds where the last of these bins ends; longer videos are one more.
        min_s: shorter videos, in seconds, are left out.
        max_s: longer videos, in seconds, are left out.
        max_words: longer queries are left out.
        drop_audio: leave out queries about what is heard.
        seed: seed of the draw.
    """

    num_samples: int = 2500
    mean: float = 0.05
    std: float = 0.2
    num_iou_bins: int = 20
    bin_s: float = 30.0
    last_bin_s: float = 240.0
    min_s: float = 5.0
    max_s: float = 500.0
    max_words: int = 200
    drop_audio: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not math.isfinite(value):
                raise ValueError(f"rule.{name} must be a finite number, not {value}")
        for name in ("num_samples", "num_iou_bins", "std", "bin_s", "last_bin_s", "max_words"):
            if not asdict(self)[name] > 0:
                raise ValueError(f"rule.{name} must be above 0, not {asdict(self)[name]}")
        if self.min_s > self.max_s:
            raise ValueError(f"rule.min_s is {self.min_s}, above max_s {self.max_s}: no video would be left")

    @property
    def num_bins(self) -> int:
        """Bins of duration, that of the longest included.

        >>> TimeLensRule().num_bins
        9
        """
        return math.ceil(self.last_bin_s / self.bin_s) + 1

    def bin_of(self, duration_s: float) -> int:
        """The bin of a duration; an edge belongs to the bin below it.

        >>> [TimeLensRule().bin_of(duration_s) for duration_s in (5.0, 30.0, 30.1, 240.0, 240.1, 500.0)]
        [0, 0, 1, 7, 8, 8]
        """
        if duration_s > self.last_bin_s:
            return self.num_bins - 1
        return max(0, math.ceil(duration_s / self.bin_s) - 1)

    def takes(self, sample: Sample) -> bool:
        """True where a sample may be drawn at all."""
        is_heard = self.drop_audio and _AUDIO.search(sample.query) is not None
        has_length = self.min_s <= sample.duration_s <= self.max_s
        return has_length and len(sample.query.split()) <= self.max_words and not is_heard


@dataclass(frozen=True, slots=True)
class TimeLensDraw:
    """The samples drawn, in their first order, and how many of each bin of duration could be and were."""

    samples: list[Sample]
    num_candidates: list[int]
    num_drawn: list[int]


def draw_by_duration(samples: Sequence[Sample], ious: Mapping[str, float], rule: TimeLensRule) -> TimeLensDraw:
    """TimeLens's training set: of every bin of duration as many, by difficulty, without replacement.

    ``num_samples`` is shared out evenly, what is left over to the bins of the shortest videos; a bin with fewer samples
    gives them all, and no other makes up for it. Samples without an IoU are not drawn. By the smallest ``-log(u) /
    weight`` (Efraimidis and Spirakis, 2006), u uniform and seeded.
    """
    bins: list[list[Sample]] = [[] for _ in range(rule.num_bins)]
    for sample in samples:
        if sample.sample_id in ious and rule.takes(sample):
            bins[rule.bin_of(sample.duration_s)].append(sample)
    share, left = divmod(rule.num_samples, rule.num_bins)
    dice = random.Random(rule.seed)
    drawn = [_drawn(members, ious, rule, share + (number < left), dice) for number, members in enumerate(bins)]
    chosen = set().union(*drawn)
    return TimeLensDraw(
        [sample for sample in samples if sample.sample_id in chosen], list(map(len, bins)), list(map(len, drawn))
    )


def _drawn(
    members: Sequence[Sample], ious: Mapping[str, float], rule: TimeLensRule, count: int, dice: random.Random
) -> set[str]:
    """The ids of ``count`` samples of one bin of duration."""
    iou_bins = [min(int(ious[sample.sample_id] * rule.num_iou_bins), rule.num_iou_bins - 1) for sample in members]
    num_like = Counter(iou_bins)
    keys: dict[str, float] = {}
    for sample, iou_bin in zip(members, iou_bins, strict=True):
        log_weight = -(((ious[sample.sample_id] - rule.mean) / rule.std) ** 2) / 2 - math.log(num_like[iou_bin])
        wait = -math.log(1.0 - dice.random())
        # log(wait / weight): in logarithms no weight is so small that it becomes 0
        keys[sample.sample_id] = (math.log(wait) if wait > 0 else -math.inf) - log_weight
    return set(sorted(keys, key=lambda sample_id: keys[sample_id])[:count])
