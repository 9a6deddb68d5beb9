"""One process that reads clips for ``clip_pool``, from the side that asks, kills, and starts another.

The frames come through a socket straight into the tensor's memory: nothing is left behind by a kill.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import torch

from tvg_lightning.data.bad_videos import BadVideo
from tvg_lightning.data.clip_worker import (
    OPENED,
    ClipReply,
    ClipRequest,
    Job,
    ProbeJob,
    Refusal,
    Reply,
    fill,
    receive,
    send,
)
from tvg_lightning.data.probing import FileReport, unreadable
from tvg_lightning.data.tensor_store import tensor_bytes
from tvg_lightning.data.video import VideoClip

_START_S = 300.0  # importing torch on a machine that is busy with other things
_GRACE_S = 10.0  # for the kernel to end a killed process
_BY_OTHERS = {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP}  # no decoder ends itself so

Answer = VideoClip | BadVideo | FileReport


class WorkerStartError(RuntimeError):
    """The worker process itself does not come up: no video is to blame."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """No answer; ``by_others``: the process was ended by the system or a person, maybe in the middle of a good file."""

    reason: str
    began: float
    opens: bool
    by_others: bool = False


class WorkerProcess:
    """One process at a time, started when it is needed."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.num_killed = self.num_died = 0
        self.is_closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._lock = threading.Lock()  # between its thread, which starts processes, and the one that closes

    def ask(self, job: Job) -> Answer:
        """What the process answers, or why it did not; asked again if something else than the file ended it."""
        outcome = self._try(job)
        if isinstance(outcome, _Failure) and outcome.by_others:
            outcome = self._try(job)
        if not isinstance(outcome, _Failure):
            return outcome
        if isinstance(job, ProbeJob):
            return unreadable(job.path, outcome.reason)
        return bad_video(job.request, outcome.reason, outcome.began, outcome.opens)

    def _try(self, job: Job) -> "Answer | _Failure":
        channel = self._channel or self._start()
        began, opens = time.monotonic(), False
        until = began + self.timeout_s
        try:
            send(channel, job)
            reply = receive(channel, until)
            if reply == OPENED:
                opens = True
                reply = receive(channel, until)
            return _answer(channel, job, reply, began, until)
        except TimeoutError:
            self.num_killed += 1
            self.kill()
            return _Failure(f"reading it took more than {self.timeout_s:g} s", began, opens)
        except (EOFError, OSError):
            self.num_died += 1
            code = self.kill()
            return _Failure(_how_it_died(code), began, opens, by_others=-code in _BY_OTHERS)

    def kill(self) -> int:
        """End the process, whatever it is doing; how it ended: its exit status, or minus the signal."""
        assert self._process is not None and self._channel is not None
        self._process.kill()  # after a crash nothing is there to be killed, and its own end is what we get
        try:
            code = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:  # it waits for a disk that does not answer: leave it behind
            code = -signal.SIGKILL
        self._channel.close()
        self._process = self._channel = None
        return code

    def close(self) -> None:
        with self._lock:
            self.is_closed = True
            if self._process is not None:
                self._process.kill()
                self._process.wait(_GRACE_S)

    def hang_up(self) -> None:
        """Called by its thread at its end."""
        if self._channel is not None:
            self._channel.close()

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        # neither forked nor multiprocessing's spawn: both bring what the main process holds or imports
        program = f"from tvg_lightning.data.clip_worker import main; main({theirs.fileno()}, {os.getpid()})"
        command = [sys.executable, "-c", program]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with self._lock, theirs:
            if self.is_closed:
                raise WorkerStartError("the pool was closed")
            self._process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()])
            self._channel = ours
        try:
            receive(ours, time.monotonic() + _START_S)
        except (TimeoutError, EOFError, OSError) as error:
            raise WorkerStartError(
                f"a process for reading videos could not be started ({_ending(self.kill())}); its words are above. "
                "data.num_workers=0 reads them in the main process"
            ) from error
        return ours


def bad_video(request: ClipRequest, reason: str, began: float, opens: bool) -> BadVideo:
    """What was asked for cannot be had; ``began`` by time.monotonic."""
    return BadVideo(request.path, reason, time.monotonic() - began, request.segment, opens)


def _how_it_died(code: int) -> str:
    if -code not in _BY_OTHERS:
        return f"its decoder died ({_ending(code)})"
    guess = ": out of memory?" if -code == signal.SIGKILL else ""
    return f"its worker was killed by signal {-code} ({_ending(code)}), also when tried again{guess}"


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit status {code}"


def _answer(channel: socket.socket, job: Job, reply: Reply | str, began: float, until: float) -> Answer:
    """What a reply says, with the frames that follow it."""
    if isinstance(job, ProbeJob):
        assert isinstance(reply, FileReport)
        return reply
    if isinstance(reply, Refusal):
        return bad_video(job.request, reply.reason, began, reply.opens)
    assert isinstance(reply, ClipReply)
    frames = torch.empty(reply.shape, dtype=torch.uint8)
    fill(channel, tensor_bytes(frames), until)
    return VideoClip(frames, reply.times_s, reply.fps, reply.backend)
