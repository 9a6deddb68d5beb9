"""Offline difficulty control: which training samples are worth reinforcement, and which answers worth imitating.

Difficulty is the IoU of a model's answers with the truth: a teacher's in TVG-R1, the base model's in Time-R1.
"""

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tvg_lightning.schema import Sample, Task
from tvg_lightning.span_sets import answer_iou
from tvg_lightning.traces import Trace


@dataclass(frozen=True)
class TVGR1Rule:
    """TVG-R1's two thresholds (arXiv 2507.18100): IoU > eps1 is imitated, IoU < eps2 is too hard for RL."""

    eps1: float = 0.8
    eps2: float = 0.4

    def __post_init__(self) -> None:
        if not 0.0 <= self.eps2 <= self.eps1 <= 1.0:
            raise ValueError(f"rule: 0 <= eps2 <= eps1 <= 1 is needed, not eps1 {self.eps1} and eps2 {self.eps2}")


@dataclass(frozen=True)
class TimeR1Rule:
    """Time-R1's Gaussian over the base model's IoU (arXiv 2503.13377): neither easy nor hopeless is likeliest."""

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


@dataclass(frozen=True, slots=True)
class TeacherSplit:
    """TVG-R1's split by a teacher's answers: traces to imitate, samples for RL, and how many are dropped."""

    cold_start: list[Trace]
    reinforce: list[Sample]
    num_too_hard: int  # IoU < eps2
    num_unanswered: int  # without an answer there is no difficulty
    num_other: int  # answers to other samples


def sample_ious(traces: Iterable[Trace]) -> dict[str, float]:
    """The mean IoU of every sample's grounding answers by sample id; an answer without a span counts 0."""
    return means(answer_ious(traces))


def answer_ious(traces: Iterable[Trace]) -> Iterator[tuple[str, float]]:
    """Sample id and IoU of every grounding answer."""
    for trace in traces:
        if trace.task == Task.TVG and trace.windows is not None:
            yield trace.sample_id, _iou(trace)


def _iou(trace: Trace) -> float:
    assert trace.windows is not None, "a trace without truth is left out before this"
    return answer_iou(trace.answer, trace.windows)


def means(answers: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The mean of each name's values.

    >>> means([("a", 0.0), ("b", 1.0), ("a", 0.5)])
    {'a': 0.25, 'b': 1.0}
    """
    found: dict[str, list[float]] = {}
    for name, value in answers:
        found.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}


def split_by_teacher(samples: Sequence[Sample], traces: Sequence[Trace], rule: TVGR1Rule) -> TeacherSplit:
    """TVG-R1's split of a training set by a teacher's answers.

    An answer in the format with IoU > eps1 goes to the cold start, once a text; a sample without such an answer
    and a mean IoU >= eps2 goes to RL. With one answer a sample, as in the paper, that is its rule: above eps1
    imitated, below eps2 dropped, the rest reinforced. Answers to other samples are left out.
    """
    names = {sample.sample_id for sample in samples}
    ours = [trace for trace in traces if trace.sample_id in names]
    taught = {
        (trace.sample_id, trace.text): trace
        for trace in reversed(ours)
        if trace.task == Task.TVG and trace.follows_format and trace.windows is not None and _iou(trace) > rule.eps1
    }
    cold_start = list(reversed(taught.values()))
    ious, imitated = sample_ious(ours), {trace.sample_id for trace in cold_start}
    rest = [sample for sample in samples if sample.sample_id in ious and sample.sample_id not in imitated]
    reinforce = [sample for sample in rest if ious[sample.sample_id] >= rule.eps2]
    num_unanswered = sum(sample.sample_id not in ious for sample in samples)
    num_other = len(traces) - len(ours)
    return TeacherSplit(cold_start, reinforce, len(rest) - len(reinforce), num_unanswered, num_other)


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
