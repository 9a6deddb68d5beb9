"""A run's folder as a whole: its stages, groups and processes, and what is no run."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import GOOD_TRACE, write_traces
from tvg_lightning.diagnosis.runs import diagnose, groups_of, trace_files
from tvg_lightning.diagnosis.sections import DiagnosisRule
from tvg_lightning.schema import Task
from tvg_lightning.traces import Trace

RULE = DiagnosisRule()


def group(step: int, position: int = 0, size: int = 4, **changes: object) -> list[Trace]:
    changes = {"stage": "explore", "reward": 1.0} | changes
    return [
        replace(GOOD_TRACE, step=step, group=position, rollout=number, **changes)  # type: ignore[arg-type]
        for number in range(size)
    ]


def test_groups_are_the_completions_that_stand_behind_each_other() -> None:
    first, second, later = group(0), group(0, position=1), group(1)
    replaced = group(1)  # the same prompt drawn once more in the place of a constant group
    found = list(groups_of([*first, *second, *later, *replaced]))
    assert found == [first, second, later, replaced]
    assert list(groups_of([])) == []


def test_stages_and_tasks_apart_and_processes_together(tmp_path: Path) -> None:
    inverted = [replace(trace, task=Task.VERB_COMPLETION) for trace in group(1, position=5)]
    write_traces(tmp_path / "traces" / "refine-rank0.jsonl", group(9, stage="refine"))
    write_traces(tmp_path / "traces" / "explore-rank0.jsonl", [*group(0), *inverted, *group(2)])
    write_traces(tmp_path / "traces" / "explore-rank1.jsonl", [*group(0, 1), *group(3, 1)])
    (tmp_path / "traces" / "x-ranking.jsonl").write_text("not of this project")
    assert list(trace_files(tmp_path)) == ["explore", "refine"]
    found = diagnose(tmp_path, RULE)
    told = [(s.stage, s.task.value, s.num_traces, s.num_groups, s.first_step, s.last_step) for s in found.sections]
    assert told == [
        ("explore", "tvg", 16, 4, 0, 3),
        ("explore", "verb_completion", 4, 1, 1, 1),
        ("refine", "tvg", 4, 1, 9, 9),
    ]
    assert (found.num_traces, found.num_torn, found.num_metrics) == (24, 0, 0)
    assert [f.name for f in found.sections[0].findings] == ["constant_groups"] and found.num_findings == 1
    assert diagnose(tmp_path / "traces", RULE) == found  # the folder of the traces itself


def test_a_torn_last_line_is_skipped_and_counted(tmp_path: Path) -> None:
    path = write_traces(tmp_path / "traces" / "explore-rank0.jsonl", group(0))
    with path.open("a") as file:
        file.write('{"stage": "expl')
    assert (diagnose(tmp_path, RULE).num_traces, diagnose(tmp_path, RULE).num_torn) == (4, 1)
    path.write_bytes(path.read_bytes().rpartition(b"\n")[0])  # a whole line that only lacks its end
    assert (diagnose(tmp_path, RULE).num_traces, diagnose(tmp_path, RULE).num_torn) == (4, 0)


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="missing: there is no such folder; give the run's"):
        diagnose(tmp_path / "missing", RULE)
    with pytest.raises(ValueError, match=r"no traces here .* those of SFT have none"):
        diagnose(tmp_path, RULE)
    path = write_traces(tmp_path / "traces" / "explore-rank0.jsonl", [])
    with pytest.raises(ValueError, match="its files of traces are empty"):
        diagnose(tmp_path, RULE)
    write_traces(path, group(0))
    old = json.loads(path.read_text().splitlines()[0])
    old["answer"] = old.pop("spans")
    path.write_text(json.dumps(old) + "\n")
    words = r"explore-rank0\.jsonl:1: not a trace of this version: missing \['spans'\], unknown \['answer'\]"
    with pytest.raises(ValueError, match=words):
        diagnose(tmp_path, RULE)


def test_memory_does_not_grow_with_the_run(tmp_path: Path) -> None:
    """Four times the traces need less than a quarter more of memory, once the windows are full."""
    peaks = []
    for number in (200, 800):
        path = tmp_path / str(number) / "traces" / "explore-rank0.jsonl"
        write_traces(path, (trace for step in range(number) for trace in group(step)))
        tracemalloc.start()
        assert diagnose(tmp_path / str(number), RULE).num_traces == 4 * number
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.25 * peaks[0]
