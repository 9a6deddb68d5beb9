"""Numbers of a run by step, counted from its traces; and which groups a page shows of them."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from tvg_lightning.diagnosis.judges import constant
from tvg_lightning.failures import Events
from tvg_lightning.harvest import is_refining
from tvg_lightning.pages.curves import Curve, Steps
from tvg_lightning.schema import Task
from tvg_lightning.traces import Trace

MAX_ANCHORS = 4
Means = dict[str, dict[int, list[float]]]  # name -> step -> [sum, number]


class Tallies:
    """Means by step, and for every group its query, task and step; memory grows with steps and groups alone."""

    def __init__(self) -> None:
        self.means: dict[str, Means] = defaultdict(lambda: defaultdict(lambda: defaultdict(lambda: [0.0, 0.0])))
        self.stages: dict[str, tuple[float, float]] = {}
        self.groups: list[tuple[str, Task, int]] = []  # sample, task and step of each
        self.events = Events()
        self.num_traces = 0

    def add(self, group: Sequence[Trace]) -> None:
        """Count one group."""
        first = group[0]
        start, _ = self.stages.get(first.stage, (first.step, first.step))
        self.stages[first.stage] = (start, first.step + 1)
        self.groups.append((first.sample_id, first.task, first.step))
        self.num_traces += len(group)
        self.events.add(first)
        for task in Task:
            self._note("mixture drawn", task.value, first.step, float(first.task == task))
        for _, case in constant(group):
            self._note("groups of equal rewards", "share", first.step, float(case is not None))
        for trace in group:
            self._add(trace)

    def _add(self, trace: Trace) -> None:
        self._note("reward", "total", trace.step, trace.reward)
        for name, value in trace.rewards.items():
            self._note("reward parts", name, trace.step, value)
        self._note("length", "tokens", trace.step, float(trace.num_tokens))
        if trace.task is not Task.TVG:
            return
        self._note("format", "share in format", trace.step, float(trace.follows_format))
        if trace.answer_iou is not None:
            self._note("IoU", "answer", trace.step, trace.answer_iou)
            for number, iou in enumerate(trace.anchor_ious[:MAX_ANCHORS], 1):
                self._note("IoU", f"anchor {number}", trace.step, iou)
            refines = is_refining(trace.anchors, trace.answer.span, trace.windows or ())
            self._note("refining", "share of thoughts", trace.step, float(refines))

    def _note(self, chart: str, name: str, step: int, value: float) -> None:
        total = self.means[chart][name][step]
        total[0] += value
        total[1] += 1.0

    def curves(self, chart: str, run: int) -> list[Curve]:
        """The curves of one chart; a name that was always 0, as a task that is not drawn, is left out of mixtures."""
        found = []
        for name, by_step in sorted(self.means[chart].items(), key=lambda one: one[0] != "answer"):
            points = [(float(step), total / num) for step, (total, num) in sorted(by_step.items())]
            if chart != "mixture drawn" or any(value for _, value in points):
                found.append(Curve(name, points, run, self.silent))
        return found

    @property
    def silent(self) -> list[Steps]:
        """The steps before and between stages, in which nothing was sampled: those of SFT."""
        stages = sorted(self.stages.values())
        starts = [0.0, *(end for _, end in stages)][: len(stages)]
        return [(end, start) for end, (start, _) in zip(starts, stages, strict=True) if start > end]

    def bands(self, names: Sequence[str]) -> dict[str, Steps]:
        """The steps of every stage, in their order; of the silent ones, what stands between in ``names`` of all stages.

        ``names`` may begin with ``base``, the policy before training.
        """
        found: dict[str, Steps] = dict(self.stages)
        for start, end in self.silent:
            before = next((name for name, (_, last) in self.stages.items() if last == start), "base")
            behind = next(name for name, (first, _) in self.stages.items() if first == end)
            if before in names and behind in names:
                between = names[names.index(before) + 1 : names.index(behind)]
                found |= {", ".join(between): (start, end)} if between else {}
        return dict(sorted(found.items(), key=lambda one: one[1]))


def spread(items: Sequence[int], num: int) -> list[int]:
    """``num`` of the items, evenly spread, the first and the last among them.

    >>> spread(range(10), 4), spread([5], 3)
    ([0, 3, 6, 9], [5])
    """
    if len(items) <= num:
        return list(items)
    return [items[round(k * (len(items) - 1) / (num - 1))] for k in range(num)] if num > 1 else [items[0]]


def most_asked(tallies: Sequence[Tallies], num: int) -> list[str]:
    """The grounding queries that were asked in the most steps; of several runs, those that all asked come first."""
    counts = [Counter(sample for sample, task, _ in one.groups if task is Task.TVG) for one in tallies]
    every = sorted({sample for count in counts for sample in count})
    return sorted(every, key=lambda sample: (-min(c[sample] for c in counts), -sum(c[sample] for c in counts)))[:num]
