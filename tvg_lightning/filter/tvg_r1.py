"""TVG-R1's offline difficulty control: which training samples are worth reinforcement, which answers imitation."""

from collections.abc import Sequence
from dataclasses import dataclass

from tvg_lightning.filter.ious import sample_ious, trace_iou
from tvg_lightning.schema import Sample, Task
from tvg_lightning.traces import Trace


@dataclass(frozen=True)
class TVGR1Rule:
    """TVG-R1's two thresholds (arXiv 2507.18100): IoU > eps1 is imitated, IoU < eps2 is too hard for RL.

    Args:
        eps1: IoU above which an answer is imitated.
        eps2: IoU below which a sample is too hard for RL.
    """

    eps1: float = 0.8
    eps2: float = 0.4

    def __post_init__(self) -> None:
        if not 0.0 <= self.eps2 <= self.eps1 <= 1.0:
            raise ValueError(f"rule: 0 <= eps2 <= eps1 <= 1 is needed, not eps1 {self.eps1} and eps2 {self.eps2}")


@dataclass(frozen=True, slots=True)
class TeacherSplit:
    """TVG-R1's split by a teacher's answers: traces to imitate, samples for RL, and how many are dropped."""

    cold_start: list[Trace]
    reinforce: list[Sample]
    num_too_hard: int  # IoU < eps2
    num_unanswered: int  # without an answer there is no difficulty
    num_other: int  # answers to other samples


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
        if trace.task == Task.TVG
        and trace.follows_format
        and trace.windows is not None
        and trace_iou(trace) > rule.eps1
    }
    cold_start = list(reversed(taught.values()))
    ious, imitated = sample_ious(ours), {trace.sample_id for trace in cold_start}
    rest = [sample for sample in samples if sample.sample_id in ious and sample.sample_id not in imitated]
    reinforce = [sample for sample in rest if ious[sample.sample_id] >= rule.eps2]
    num_unanswered = sum(sample.sample_id not in ious for sample in samples)
    num_other = len(traces) - len(ours)
    return TeacherSplit(cold_start, reinforce, len(rest) - len(reinforce), num_unanswered, num_other)
