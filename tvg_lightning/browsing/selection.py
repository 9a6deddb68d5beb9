"""The groups of a run, judged, and which of their completions somebody wants to see."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from typing import Literal, NamedTuple

from tvg_lightning.diagnosis.runs import groups_of, trace_files
from tvg_lightning.failures import Events, FailureJudge, Verdict
from tvg_lightning.files import ends_torn
from tvg_lightning.progress import tracked
from tvg_lightning.prompts import PromptTemplates
from tvg_lightning.schema import AnswerFormat, TaskName
from tvg_lightning.traces import Trace, read_traces

log = logging.getLogger(__name__)

FailureName = Literal["format", "no_answer", "copied", "other_event", "loose_edges", "missed", "none"]


class Judged(NamedTuple):
    """A completion with its verdict; ``is_chosen``: it passes the selection itself, not only its group."""

    trace: Trace
    verdict: Verdict
    is_chosen: bool


Group = list[Judged]  # all completions of one prompt


@dataclass(frozen=True, slots=True)
class Selection:
    """The completions that are wanted; None asks nothing. IoU and reward are bounds that are still taken."""

    stage: str | None = None
    task: TaskName | None = None
    kind: str | None = None
    sample: str | None = None
    query: str | None = None  # text in the query, whatever its case
    failure: FailureName | None = None
    min_iou: float | None = None
    max_iou: float | None = None
    min_reward: float | None = None
    max_reward: float | None = None
    first_step: int | None = None
    last_step: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("min_iou", self.min_iou), ("max_iou", self.max_iou)):
            if value is not None and not 0.0 <= value <= 1.0:
                raise ValueError(f"--{name}: an IoU is between 0 and 1, not {value}")
        for low, high in (("min_iou", "max_iou"), ("min_reward", "max_reward"), ("first_step", "last_step")):
            bounds = self._value(low), self._value(high)
            if bounds[0] is not None and bounds[1] is not None and bounds[0] > bounds[1]:
                raise ValueError(f"--{low} {bounds[0]} is above --{high} {bounds[1]}: nothing can pass")

    def _value(self, name: str) -> float | None:
        return {
            "min_iou": self.min_iou, "max_iou": self.max_iou, "min_reward": self.min_reward,
            "max_reward": self.max_reward, "first_step": self.first_step, "last_step": self.last_step,
        }[name]  # fmt: skip

    def takes_prompt(self, trace: Trace) -> bool:
        """True where the prompt of a completion passes."""
        return (
            (self.task is None or trace.task == self.task)
            and (self.kind is None or trace.kind == self.kind)
            and (self.sample is None or trace.sample_id == self.sample)
            and (self.query is None or self.query.casefold() in trace.query.casefold())
            and _within(trace.step, self.first_step, self.last_step)
        )

    def takes(self, trace: Trace, verdict: Verdict) -> bool:
        """True where a completion of such a prompt passes; one without an IoU passes no bound of it."""
        has_bound = self.min_iou is not None or self.max_iou is not None
        return (
            (self.failure is None or self.failure == (verdict.failure or "none"))
            and not (has_bound and trace.answer_iou is None)
            and _within(trace.answer_iou or 0.0, self.min_iou, self.max_iou)
            and _within(trace.reward, self.min_reward, self.max_reward)
        )


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def selected(
    folder: Path, selection: Selection, fallback: AnswerFormat | None = None, templates: PromptTemplates | None = None
) -> Iterator[Group]:
    """The groups of a run in which a completion passes, in the order of the run; read twice, one group kept at a time.

    ValueError where there is no run with traces, or none of this stage. A torn last line is passed over, and said.
    ``fallback``: the format of traces that do not say theirs; ``templates``: the words of the run's prompts.
    """
    files = trace_files(folder)
    if selection.stage is not None and selection.stage not in files:
        raise ValueError(f"{folder}: no traces of a stage {selection.stage}; there are those of {', '.join(files)}")
    paths = [path for of_stage in files.values() for path in of_stage]
    for path in filter(ends_torn, paths):
        log.warning("%s: its last line is torn, as the run died while it wrote; it is passed over", path)
    events = Events(trace for path in paths for trace in tracked(read_traces(path), f"reading {path.name}", "trace"))
    judge = FailureJudge(events, fallback, templates)
    wanted = [of_stage for stage, of_stage in files.items() if selection.stage in (None, stage)]
    num_traces = 0
    for of_stage in wanted:
        for traces in groups_of(merge(*map(read_traces, of_stage), key=lambda trace: trace.step)):
            num_traces += len(traces)
            if not selection.takes_prompt(traces[0]):
                continue
            verdicts = [(trace, judge(trace)) for trace in traces]
            group = [Judged(trace, verdict, selection.takes(trace, verdict)) for trace, verdict in verdicts]
            if any(judged.is_chosen for judged in group):
                yield group
    if not num_traces:
        raise ValueError(f"{folder}: its files of traces are empty: the run has ended before its first step")
