import io
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonargparse import auto_cli

from tvg_lightning.schema import MethodName
from tvg_lightning.tools.parse import main

ROOT = Path(__file__).resolve().parents[2]
Parse = Callable[..., list[list[list[float]]]]
RUN = [sys.executable, "-c", "from tvg_lightning.tools.parse import main; main()"]
ENVIRONMENT = {**os.environ, "PYTHONUNBUFFERED": ""}  # a pipe is buffered, as it is for users


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Parse:
    def run(lines: bytes, method: MethodName = "time_r1", **more: Any) -> list[list[list[float]]]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
        main(method, **more)
        written = capsys.readouterr().out
        assert written.endswith("\n") or not written
        return [json.loads(line) for line in written.splitlines()]

    return run


def test_one_list_per_line_in_order(parse: Parse) -> None:
    lines = b"From 1 to 2 seconds, and from 3 to 4.5 seconds.\n\nno idea\n[[00:00:05, 01:02:03]]\r\n7 to 5\n[[5, 5]]"
    assert parse(lines) == [[[1, 2], [3, 4.5]], [], [], [[5, 3723]], [], [[5, 5]]]
    assert parse(b"") == []


def test_newlines_of_a_text(parse: Parse) -> None:
    text = "<think>1 to 2</think>\n<answer>\n3 to 4\n</answer>"
    quoted, escaped = json.dumps(text), text.replace("\n", r"\n")
    assert parse(f"{quoted}\n{escaped}\n".encode(), strict=True) == [[[3, 4]], [[3, 4]]]
    assert parse(b'"0:12" to "0:15"\n"\n"\\u0031 to 2"') == [[[12, 15]], [], [[1, 2]]]


def test_bytes_that_are_no_text(parse: Parse) -> None:
    assert parse(b"\xff\xfe\x00 1 to 2 \xc3\n\x80\n") == [[[1, 2]], []]


def test_strict_reads_the_methods_own_format(parse: Parse) -> None:
    lines = b"<think>a</think><answer>1 to 2</answer>\n<think>a</think><time>[3, 4]</time>\n5 to 6\n"
    assert parse(lines, "time_r1", strict=True) == [[[1, 2]], [], []]
    assert parse(lines, "tvg_r1", strict=True) == [[], [[3, 4]], []]
    assert parse(lines, "tvg_r1") == [[[1, 2]], [[3, 4]], [[5, 6]]]
    sets = b"[[1, 2], [3, 4]]\n[]\n<answer>1 to 2</answer>\n"
    assert parse(sets, "timelens2", strict=True) == [[[1, 2], [3, 4]], [], []]
    assert parse(sets, "time_r1", thought=False, strict=True) == [[], [], [[1, 2]]]


def test_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1 to 2\n")))
    auto_cli({"parse": main}, args=["parse", "--strict", "true", "--method", "tar_tvg"], as_positional=False)
    assert capsys.readouterr().out == "[]\n"


def test_each_line_is_answered_at_once() -> None:
    with subprocess.Popen(RUN, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=ENVIRONMENT) as process:
        assert process.stdin is not None and process.stdout is not None
        for _ in range(2):
            process.stdin.write(b"1 to 2\n")
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 60.0)[0], "the answer is kept in a buffer"
            assert process.stdout.readline() == b"[[1.0, 2.0]]\n"


def test_a_reader_that_leaves_is_no_error() -> None:
    with subprocess.Popen(
        RUN, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, complaint = process.communicate(b"1 to 2\n" * 10)
    assert (process.returncode, complaint) == (0, b"")
