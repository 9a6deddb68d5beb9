"""The command as people call it: into a pipe, as JSON, on a terminal, and where nothing passes."""

import json
import os
import pty
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import GOOD_TRACE, write_traces
from tvg_lightning.__main__ import main
from tvg_lightning.schema import AnswerFormat, Method, Span

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    right = replace(GOOD_TRACE, answer_iou=0.9, form=AnswerFormat(Method.TIME_R1), kind="plain")
    wrong = replace(right, spans=(Span(0.0, 1.0),), answer_iou=0.0, rollout=1)
    traces = [replace(t, step=k, reward=float(k + t.rollout)) for k in range(3) for t in (right, wrong)]
    write_traces(tmp_path / "traces" / "explore-rank0.jsonl", traces)
    return tmp_path


def test_all_groups_into_a_pipe(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["traces", str(run)])
    said = capsys.readouterr().out
    assert [line.split(", ")[1] for line in said.splitlines() if line.startswith("stage")] == [
        "step 0",
        "step 1",
        "step 2",
    ]
    assert said.count("truth missed") == 3 and "\x1b" not in said and said.count("      good") == 6
    main(["traces", str(run), "--texts", "false", "--limit=1", "--failure", "missed"])
    said = capsys.readouterr().out
    assert "good" not in said and said.count("stage explore") == 1 and "\n> 1 " in said


@pytest.mark.parametrize(("order", "steps"), [("step", [0, 1, 2]), ("best", [2, 1, 0]), ("worst", [0, 1, 2])])
def test_json_and_order(order: str, steps: list[int], run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["traces", str(run), "--json", "--min_iou", "0.5", "--order", order])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["step"] for one in found] == steps
    assert found[0]["run"] == str(run) and found[0]["failure"] is None and found[0]["kind"] == "plain"
    assert found[0]["spans"] == [[10.0, 19.0]] and found[0]["form"] == {"method": "time_r1", "thought": None}
    main(["traces", str(run), "--json", "--failure=missed"])
    assert {json.loads(line)["failure"] for line in capsys.readouterr().out.splitlines()} == {"missed"}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--kind", "every"], "no completion passes all filters"),
        (["--limit", "0"], "--limit must be at least 1, not 0"),
        (["--thought", "true"], "--thought and --prompts need --method"),
        (["--stage", "refine"], "no traces of a stage refine; there are those of explore"),
    ],
)
def test_bad_input_is_one_line(args: list[str], said: str, run: Path) -> None:
    with pytest.raises(SystemExit, match=f"^error: .*{said}"):
        main(["traces", str(run), *args])


def test_a_terminal_gets_a_group_a_screen(run: Path) -> None:
    """The whole program behind a pseudo-terminal: the second group, then the end."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tvg_lightning", "traces", str(run)]
    environment = {**os.environ, "COLUMNS": "100", "LINES": "40", "TERM": "xterm", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, env=environment)
    os.close(theirs)
    seen, until = "", time.monotonic() + 60.0
    for waits_for, key in (("group 1 ", b" "), ("group 2 ", b"q")):
        while waits_for not in seen and time.monotonic() < until:
            seen += os.read(ours, 65536).decode()
        assert waits_for in seen
        os.write(ours, key)
    assert process.wait(60) == 0
    os.close(ours)
    assert "step 1" in seen and "\x1b[1;34m" in seen


def test_a_reader_who_has_seen_enough(run: Path) -> None:
    many = [replace(GOOD_TRACE, step=step, text=1000 * "x") for step in range(300)]
    write_traces(run / "traces" / "more-rank0.jsonl", many)
    command = f"{sys.executable} -m tvg_lightning traces {run} --json | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and json.loads(done.stdout)["step"] == 0
