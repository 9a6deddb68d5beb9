"""The diagnosis of a run's folder: its traces read as a stream, stage by stage and task by task, and its metrics."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from heapq import merge
from pathlib import Path

from tvg_lightning.diagnosis.findings import Finding
from tvg_lightning.diagnosis.logged import metric_findings, read_metrics
from tvg_lightning.diagnosis.sections import DiagnosisRule, Outcome, Sections
from tvg_lightning.files import ends_torn, noted
from tvg_lightning.prompts import PromptTemplates
from tvg_lightning.schema import AnswerFormat, Task
from tvg_lightning.traces import Trace, read_traces

_TRACES = re.compile(r".+-rank\d+")
_PREDICTIONS = "predictions-rank"  # what predict answers, which lies in the folder of a run


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that was found about a run; ``num_torn`` last lines of files were never written to their end.

    ``notes``: a sentence on each file of metrics that cannot be read.
    """

    sections: tuple[Outcome, ...]
    of_metrics: tuple[Finding, ...]
    num_metrics: int
    num_traces: int
    num_torn: int
    notes: tuple[str, ...] = ()

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
    found = Sections(rule, fallback, templates)
    for group in groups_in(folder):
        found.add(group)
    outcomes = found.outcomes()
    if not outcomes:
        raise ValueError(f"{folder}: its files of traces are empty: the run has ended before its first step")
    notes: list[str] = []
    metrics = read_metrics(folder, notes)
    return Diagnosis(
        outcomes,
        tuple(metric_findings(metrics)),
        len(metrics),
        sum(outcome.num_traces for outcome in outcomes),
        sum(ends_torn(path) for paths in trace_files(folder).values() for path in paths),
        tuple(notes),
    )


def has_traces(folder: Path) -> bool:
    """True where a run has files of traces, maybe empty; ValueError where there is no such folder."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder; give the run's, which is trainer.default_root_dir")
    return bool(_all_of_ranks(folder))


def trace_files(folder: Path) -> dict[str, list[Path]]:
    """The files of traces of a run by stage, in the order in which the stages began to be written."""
    if not has_traces(folder):
        raise ValueError(
            f"{folder}: no traces here (traces/STAGE-rank0.jsonl): steps of GRPO write them, those of SFT have none"
        )
    stages: dict[str, list[Path]] = {}
    for file in sorted(_all_of_ranks(folder), key=_first_step):
        stages.setdefault(file.stem.rpartition("-rank")[0], []).append(file)
    return stages


def _all_of_ranks(folder: Path) -> list[Path]:
    """The files that AnchorTrace wrote, one a stage and process: of a run, or in a folder of them."""
    return _of_ranks(folder / "traces") or [f for f in _of_ranks(folder) if not f.name.startswith(_PREDICTIONS)]


def _of_ranks(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.jsonl") if _TRACES.fullmatch(file.stem))


def _first_step(file: Path) -> int:
    with suppress(ValueError, OSError):  # who reads it to its end says so
        return next((trace.step for trace in read_traces(file)), 0)
    return 0


def groups_in(folder: Path, notes: list[str] | None = None) -> Iterator[list[Trace]]:
    """All groups of a run, stage by stage, in the order of their steps.

    With ``notes`` a file that cannot be read further counts up to there, and a sentence on it, or on a torn last line,
    is added to them; without, it is a ValueError.
    """
    for paths in trace_files(folder).values():
        read = [read_traces(path) if notes is None else _read_as_far(path, notes) for path in paths]
        yield from groups_of(merge(*read, key=lambda trace: trace.step))  # all ranks' first step, then the next


def _read_as_far(path: Path, notes: list[str]) -> Iterator[Trace]:
    with noted(notes, "What stands before it is counted, and nothing behind it in this file."):
        yield from read_traces(path)
        if ends_torn(path):
            notes.append(f"{path}: its last line is torn, as the run died while it wrote; it is passed over.")


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
