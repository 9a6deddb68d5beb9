"""The diagnosis of a run's folder: its traces read as a stream, stage by stage and task by task, and its metrics."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from pathlib import Path

from tvg_lightning.diagnosis.findings import Finding
from tvg_lightning.diagnosis.judges import prompt_examples
from tvg_lightning.diagnosis.logged import metric_findings, read_metrics
from tvg_lightning.diagnosis.sections import DiagnosisRule, Outcome, Section
from tvg_lightning.files import ends_torn
from tvg_lightning.prompts import PromptTemplates
from tvg_lightning.schema import AnswerFormat, Task
from tvg_lightning.traces import Trace, read_traces

_TRACES = re.compile(r".+-rank\d+")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that was found about a run; ``num_torn`` last lines of files were never written to their end."""

    sections: tuple[Outcome, ...]
    of_metrics: tuple[Finding, ...]
    num_metrics: int
    num_traces: int
    num_torn: int

    @property
    def num_findings(self) -> int:
        """The number of findings of all sections and metrics."""
        return len(self.of_metrics) + sum(len(section.findings) for section in self.sections)


def diagnose(
    folder: Path, rule: DiagnosisRule, fallback: AnswerFormat | None = None, templates: PromptTemplates | None = None
) -> Diagnosis:
    """Read a run once and say what keeps it from learning; ValueError where there is no run with traces.

    ``fallback``: the format of traces that do not say theirs; ``templates``: the words of its prompts, if not our own.
    """
    files = trace_files(folder)
    examples = prompt_examples(templates)
    sections: dict[tuple[str, Task], Section] = {}
    for paths in files.values():
        in_order = merge(*map(read_traces, paths), key=lambda trace: trace.step)  # all ranks' first step, then the next
        for group in groups_of(in_order):
            key = group[0].stage, group[0].task
            if key not in sections:
                sections[key] = Section(*key, rule, fallback, examples)
            sections[key].add(group)
    if not sections:
        raise ValueError(f"{folder}: its files of traces are empty: the run has ended before its first step")
    metrics = read_metrics(folder)
    outcomes = tuple(section.outcome() for section in sections.values())
    return Diagnosis(
        outcomes,
        tuple(metric_findings(metrics)),
        len(metrics),
        sum(outcome.num_traces for outcome in outcomes),
        sum(ends_torn(path) for paths in files.values() for path in paths),
    )


def has_traces(folder: Path) -> bool:
    """True where a run has files of traces, maybe empty; ValueError where there is no such folder."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder; give the run's, which is trainer.default_root_dir")
    return bool(_of_ranks(folder / "traces") or _of_ranks(folder))


def trace_files(folder: Path) -> dict[str, list[Path]]:
    """The files of traces of a run by stage, in the order in which the stages began to be written."""
    if not has_traces(folder):
        raise ValueError(
            f"{folder}: no traces here (traces/STAGE-rank0.jsonl): steps of GRPO write them, those of SFT have none"
        )
    files = _of_ranks(folder / "traces") or _of_ranks(folder)
    stages: dict[str, list[Path]] = {}
    for file in sorted(files, key=_first_step):
        stages.setdefault(file.stem.rpartition("-rank")[0], []).append(file)
    return stages


def _of_ranks(folder: Path) -> list[Path]:
    """The files that AnchorTrace wrote, one a stage and process."""
    return sorted(file for file in folder.glob("*.jsonl") if _TRACES.fullmatch(file.stem))


def _first_step(file: Path) -> int:
    return next((trace.step for trace in read_traces(file)), 0)


def groups_of(traces: Iterable[Trace]) -> Iterator[list[Trace]]:
    """The completions of each prompt, which stand behind each other; a first completion begins a new group."""
    group: list[Trace] = []
    for trace in traces:
        if group and (trace.rollout <= group[-1].rollout or _prompt_of(trace) != _prompt_of(group[-1])):
            yield group
            group = []
        group.append(trace)
    if group:
        yield group


def _prompt_of(trace: Trace) -> tuple[str, int, int, str, Task]:
    return trace.stage, trace.step, trace.group, trace.sample_id, trace.task
