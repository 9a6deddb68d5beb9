"""One worker process from the side that asks: how its end is read, and what is said of the video."""

import os
import signal
import subprocess
import time

import pytest

from tvg_lightning.data.bad_videos import BadVideo
from tvg_lightning.data.video import FrameSettings
from tvg_lightning.data.workers import handle
from tvg_lightning.data.workers.handle import WorkerHandle, bad_video
from tvg_lightning.data.workers.worker import ClipRequest, ProbeJob
from tvg_lightning.schema import Span


class Undying:
    """A process that waits for a disk: killed, and not at its end."""

    def __init__(self, said: list[str]) -> None:
        self.said = said

    def kill(self) -> None:
        self.said.append("kill")

    def wait(self, timeout: float) -> int:
        self.said.append("wait")
        raise subprocess.TimeoutExpired("worker", timeout)


def test_an_end_that_its_thread_has_seen_is_no_error() -> None:
    """The thread lets go of its process while the pool closes it."""
    worker = WorkerHandle(1.0)

    class Gone(Undying):
        def kill(self) -> None:
            super().kill()
            worker._process = None

    said: list[str] = []
    worker._process = Gone(said)  # type: ignore[assignment]
    worker.close()
    worker.wait(time.monotonic())
    assert said == ["kill"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-signal.SIGSEGV, "its decoder died (SIGSEGV)"),
        (-signal.SIGABRT, "its decoder died (SIGABRT)"),
        (1, "its decoder died (exit status 1)"),
        (-signal.SIGTERM, "its worker was killed by signal 15 (SIGTERM), also when tried again"),
        (-signal.SIGKILL, "its worker was killed by signal 9 (SIGKILL), also when tried again: out of memory?"),
        (None, "its worker hung up and did not end"),
        (-40, "its worker was killed by signal 40 (signal 40), also when tried again"),  # one of the nameless
    ],
)
def test_ends_in_words(code: int | None, words: str) -> None:
    assert handle._how_it_died(code) == words


@pytest.mark.parametrize(
    ("code", "by_others"), [(-signal.SIGKILL, True), (-signal.SIGTERM, True), (-signal.SIGSEGV, False), (1, False)]
)
def test_what_others_ended_is_asked_again(code: int, by_others: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that ends so, whatever it is asked, is asked twice or once."""
    ends: list[int] = []

    def end(self: WorkerHandle) -> int:
        os.close(self._channel.detach())  # type: ignore[union-attr]
        self._process = self._channel = None
        ends.append(code)
        return code

    def start(self: WorkerHandle) -> object:
        ours, theirs = handle.socket.socketpair()
        theirs.close()
        self._channel = ours
        return ours

    monkeypatch.setattr(WorkerHandle, "_start", start)
    monkeypatch.setattr(WorkerHandle, "_end", end)
    worker = WorkerHandle(1.0)
    report = worker.ask(ProbeJob("a.mp4"))
    assert report.error == handle._how_it_died(code) and not report.ok  # type: ignore[union-attr]
    assert len(ends) == worker.num_died == (2 if by_others else 1) and worker.num_killed == 0


def test_what_is_written_of_a_video() -> None:
    request = ClipRequest("a.mp4", FrameSettings(), Span(1.0, 2.0), side=28)
    bad = bad_video(request, "it hangs", time.monotonic() - 5.0, opens=True)
    assert isinstance(bad, BadVideo) and (bad.path, bad.reason, bad.segment, bad.opens) == (
        "a.mp4", "it hangs", Span(1.0, 2.0), True,
    )  # fmt: skip
    assert 5.0 <= bad.seconds < 60.0
