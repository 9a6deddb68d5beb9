import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonargparse import auto_cli

from tests.teacher.material import samples, write_material
from tests.teacher.server import GOOD, Say, TeacherServer, answer, error
from tvg_lightning.data.annotations import jsonl
from tvg_lightning.schema import Sample, Span
from tvg_lightning.teacher.annotator import Annotator
from tvg_lightning.tools.annotate import main
from tvg_lightning.tools.harvest import main as harvest
from tvg_lightning.traces import read_traces

KEY = "sk-secret-0123"
ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
from jsonargparse import auto_cli
from tvg_lightning.tools.annotate import main
auto_cli(main, as_positional=False)
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TeacherServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TEST_KEY", KEY)
    with TeacherServer() as running:
        yield running


def options(folder: Path, server: TeacherServer, *more: str) -> list[str]:
    return [
        f"--annotations={folder / 'train.jsonl'}",
        f"--videos={folder / 'videos'}",
        f"--out={folder / 'out'}",
        f"--endpoint.base_url={server.base_url}",
        "--endpoint.model=m",
        "--endpoint.api_key_env=TEST_KEY",
        "--endpoint.backoff_s=0.001",
        "--question.frames.uniform_frames=2",
        *more,
    ]


def run(folder: Path, server: TeacherServer, *more: str) -> None:
    auto_cli(main, args=options(folder, server, *more), as_positional=False)


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_from_annotations_to_a_set_for_sft(
    tmp_path: Path, server: TeacherServer, capsys: pytest.CaptureFixture[str]
) -> None:
    good = (
        "<think><timestamp>0.5 to 2.5</timestamp> <timestamp>0.9 to 2.0</timestamp></think><answer>1.0 to 2.0</answer>"
    )
    texts = {"number 0": good, "number 1": "I cannot tell.", "number 2": good.replace("1.0 to 2.0", "3.0 to 4.0")}
    server.plan = lambda query, n: answer(next(text for name, text in texts.items() if name in query))
    write_material(tmp_path, 3)
    for _ in range(2):
        prices = ("--budget.usd_per_million_input=2", "--budget.usd_per_million_output=8")
        run(tmp_path, server, "--method=tar_tvg", *prices)
        # 3 * (100 * 2 + 20 * 8) / 1e6
        assert capsys.readouterr().out.splitlines() == [
            f"{tmp_path / 'train.jsonl'}: 3 read, 0 fixed, 0 clipped, 0 refused",
            f"{tmp_path / 'out'}: 2 traces, 1 refused (1 format); spent: 3 requests, 360 tokens, $0.0011",
        ]
        assert [trace.sample_id for trace in read_traces(tmp_path / "out" / "traces.jsonl")] == ["s0", "s2"]
        assert [record["sample_id"] for record in records(tmp_path / "out" / "refused.jsonl")] == ["s1"]
    assert sum(server.served.values()) == 3
    harvest([tmp_path / "out" / "traces.jsonl"], tmp_path / "sft.jsonl")
    assert [trace.text for trace in read_traces(tmp_path / "sft.jsonl")] == [good]


def test_a_teacher_that_answers_without_a_thought(
    tmp_path: Path, server: TeacherServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.plan = lambda query, n: answer("<answer>1.0 to 2.0</answer>")
    write_material(tmp_path, 1)
    run(tmp_path, server, "--method=time_r1", "--thought=false")
    (trace,) = read_traces(tmp_path / "out" / "traces.jsonl")
    assert (trace.follows_format, trace.spans) == (True, (Span(1.0, 2.0),))
    (tmp_path / "again").mkdir()
    write_material(tmp_path / "again", 1)
    run(tmp_path / "again", server, "--method=time_r1")
    assert "0 traces, 1 refused (1 format)" in capsys.readouterr().out


def test_half_an_emoji_in_an_answer_is_fixed_and_counted(
    tmp_path: Path, server: TeacherServer, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    server.plan = lambda query, n: answer(GOOD.replace("<think>", "<think>\ud83d "))
    write_material(tmp_path, 1)
    run(tmp_path, server)
    assert (
        "1 traces (1 fixed: what is no text (half an emoji, or NUL) is replaced by U+FFFD), 0"
        in capsys.readouterr().out
    )
    (trace,) = read_traces(tmp_path / "out" / "traces.jsonl")
    assert trace.text.startswith("<think>\ufffd ") and not caplog.records


@pytest.mark.parametrize("name", ["traces.jsonl", "refused.jsonl"])
def test_what_others_wrote_is_not_written_over(name: str, tmp_path: Path, server: TeacherServer) -> None:
    write_material(tmp_path, 1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(ValueError, match=f"{name} exists already: remove it or choose another name"):
        run(tmp_path, server)
    assert not server.served and [file.name for file in (tmp_path / "out").iterdir()] == [name]


def test_what_cannot_be_asked_is_kept_aside_and_the_rest_goes_on(tmp_path: Path, server: TeacherServer) -> None:
    write_material(tmp_path, 1)
    (tmp_path / "videos" / "broken.mp4").write_bytes(b"no video")
    other = [Sample(f"x{k}", name, 4.0, f"other {k}", ()) for k, name in enumerate(("missing.mp4", "broken.mp4"))]
    cut = Sample("cut", "a.mp4", 2.0, "in a cut", (Span(0.0, 1.0),), cut=Span(2.0, 4.0))
    jsonl.write(tmp_path / "train.jsonl", [*other, *samples(1), cut])
    run(tmp_path, server)
    refused = {record["sample_id"]: record["reason"] for record in records(tmp_path / "out" / "refused.jsonl")}
    assert list(refused) == ["x0", "x1"]
    assert "missing.mp4: cannot be opened" in refused["x0"] and "broken.mp4: cannot be read" in refused["x1"]
    assert server.served == Counter({"number 0": 1, "in a cut": 1})
    run(tmp_path, server, "--question.input=video")
    refused = {record["sample_id"]: record["reason"] for record in records(tmp_path / "out" / "refused.jsonl")}
    assert "the sample is a cut" in refused["cut"]


def test_a_video_outside_of_the_folder_is_not_sent_unless_allowed(tmp_path: Path, server: TeacherServer) -> None:
    write_material(tmp_path, 1)
    (tmp_path / "videos" / "a.mp4").rename(tmp_path / "secret.mp4")
    jsonl.write(tmp_path / "train.jsonl", [Sample("x", "../secret.mp4", 4.0, "q", ())])
    with pytest.raises(ValueError, match=r"train\.jsonl:1: the video '\.\./secret\.mp4' .*--videos_outside true"):
        run(tmp_path, server)
    assert not server.served and not (tmp_path / "out").exists()
    run(tmp_path, server, "--videos_outside=true")
    assert sum(server.served.values()) == 1


def test_a_wrong_key_is_one_error_and_the_key_is_nowhere(
    tmp_path: Path, server: TeacherServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.plan = lambda query, n: error(401, f"Incorrect API key provided: {KEY}")
    write_material(tmp_path, 9)
    with pytest.raises(
        ValueError, match=r"HTTP 401: Incorrect API key provided: \[key\]; 9 answers not asked"
    ) as caught:
        run(tmp_path, server, "--endpoint.concurrency=1")
    assert sum(server.served.values()) == 1 and server.headers[0]["Authorization"] == f"Bearer {KEY}"
    written = [path.read_text() for path in (tmp_path / "out").iterdir()]
    said = capsys.readouterr()
    assert len(written) == 3 and not any(KEY in text for text in (*written, said.out, said.err, str(caught.value)))
    server.plan = lambda query, n: answer()
    run(tmp_path, server)
    assert len(records(tmp_path / "out" / "traces.jsonl")) == 9


def test_a_budget_ends_the_run_in_peace(
    tmp_path: Path, server: TeacherServer, capsys: pytest.CaptureFixture[str]
) -> None:
    write_material(tmp_path, 5)
    run(tmp_path, server, "--budget.max_requests=2")
    assert capsys.readouterr().out.splitlines()[-1] == (
        "stopped: budget.max_requests allows no further request; "
        "3 answers not asked for yet: run the same command to go on"
    )
    assert len(records(tmp_path / "out" / "traces.jsonl")) == 2
    run(tmp_path, server, "--budget.max_requests=5")
    assert server.served == Counter(f"number {k}" for k in range(5))


@pytest.mark.parametrize(
    ("missing", "said"), [("videos", "there is no such folder of videos"), ("train.jsonl", "no such file")]
)
def test_what_is_missing_is_named(tmp_path: Path, server: TeacherServer, missing: str, said: str) -> None:
    write_material(tmp_path, 1)
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=f"{missing}: {said}"):
        run(tmp_path, server)


def test_a_killed_run_goes_on_and_pays_twice_for_what_was_under_way_only(tmp_path: Path, server: TeacherServer) -> None:
    write_material(tmp_path, 20)
    lock, all_held, killed = threading.Lock(), threading.Event(), threading.Event()
    num_answered, held = 0, set[str]()

    def plan(query: str, n: int) -> Say:
        nonlocal num_answered
        with lock:
            if num_answered < 9 or killed.is_set():
                num_answered += 1
                return answer()
            held.add(query)
            if len(held) == 4:
                all_held.set()
        killed.wait(60)
        return answer()

    server.plan = plan
    command = [sys.executable, "-c", PROGRAM, *options(tmp_path, server, "--endpoint.concurrency=4")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while not (is_held := all_held.wait(0.05)) and process.poll() is None:
            pass
        process.kill()
        killed.set()
        assert is_held, process.communicate()[1]
    ledger = tmp_path / "out" / "ledger.jsonl"
    assert sum(record["event"] == "outcome" for record in records(ledger)) == 9
    ledger.write_bytes(ledger.read_bytes() + b'{"event": "outcome", "key": "')  # as if killed in mid-write

    run(tmp_path, server)
    assert server.served == Counter(f"number {k}" for k in range(20)) + Counter(held)
    assert len(records(tmp_path / "out" / "traces.jsonl")) == 20
    assert sum(record["event"] == "sent" for record in records(ledger)) == 24
    run(tmp_path, server)
    assert sum(server.served.values()) == 24 and len(records(tmp_path / "out" / "traces.jsonl")) == 20


def interrupting_plan(server: TeacherServer, monkeypatch: pytest.MonkeyPatch, twice: bool) -> None:
    """The third request is answered with Ctrl-C, and then, once that is heard, properly or by a second one."""
    heard = threading.Event()
    stop = Annotator.stop

    def stop_and_tell(self: Annotator, reason: str, is_fault: bool = False) -> None:
        stop(self, reason, is_fault)
        heard.set()

    def plan(query: str, n: int) -> Say:
        if query != "number 2" or heard.is_set():
            return answer()
        os.kill(os.getpid(), signal.SIGINT)
        heard.wait(60)
        if twice:
            os.kill(os.getpid(), signal.SIGINT)
            return Say(hang=True)
        return answer()

    monkeypatch.setattr(Annotator, "stop", stop_and_tell)
    server.plan = plan


def test_an_interrupted_run_takes_in_what_is_under_way_and_says_how_to_go_on(
    tmp_path: Path, server: TeacherServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_material(tmp_path, 6)
    interrupting_plan(server, monkeypatch, twice=False)
    run(tmp_path, server, "--endpoint.concurrency=1")
    said = capsys.readouterr()
    assert said.out.endswith("stopped: interrupted; 3 answers not asked for yet: run the same command to go on\n")
    assert "waiting for the answers under way" in said.err
    assert [trace.text for trace in read_traces(tmp_path / "out" / "traces.jsonl")] == [GOOD] * 3
    run(tmp_path, server)
    assert server.served == Counter(f"number {k}" for k in range(6))


def test_a_second_interrupt_drops_what_is_under_way(
    tmp_path: Path, server: TeacherServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_material(tmp_path, 4)
    interrupting_plan(server, monkeypatch, twice=True)
    run(tmp_path, server, "--endpoint.concurrency=1")
    assert "stopped: interrupted; 2 answers not asked for yet" in capsys.readouterr().out
    assert len(records(tmp_path / "out" / "traces.jsonl")) == 2
    run(tmp_path, server)
    assert server.served == Counter({"number 0": 1, "number 1": 1, "number 2": 2, "number 3": 1})
