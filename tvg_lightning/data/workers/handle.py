"""The pool's side of one worker process: asks it, kills it, and starts another.

The frames come through a socket straight into the tensor's memory: nothing is left behind by a kill.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

import torch

from tvg_lightning.data.bad_videos import BadVideo
from tvg_lightning.data.caches.digests import FileDigest
from tvg_lightning.data.caches.tensor_store import tensor_bytes
from tvg_lightning.data.probing import FileReport, unreadable
from tvg_lightning.data.video import VideoClip
from tvg_lightning.data.workers.worker import (
    OPENED,
    ClipReply,
    ClipRequest,
    DigestJob,
    Failed,
    Job,
    ProbeJob,
    Refusal,
    Reply,
    fill,
    receive,
    send,
)

_START_S = 300.0  # importing torch on a machine that is busy with other things
GRACE_S = 10.0  # for the kernel to end a killed process
# how a decoder ends its process; every other signal comes from outside
_CRASHES = {
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGABRT,
    signal.SIGSYS,
    signal.SIGTRAP,
}
# Ctrl-C is for the parent, who then closes the socket; so are the signals by which Slurm tells a whole step that its
# time is up, and which may come while torch is imported.
_DEAF = "import signal as s; [s.signal(n, s.SIG_IGN) for n in (s.SIGINT, s.SIGUSR1, s.SIGUSR2)]"

Answer = VideoClip | BadVideo | FileReport | FileDigest | None


class WorkerStartError(ChildProcessError):
    """The worker process itself does not come up: no video is to blame."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """No answer; ``by_others``: the process was ended by the system or a person, maybe in the middle of a good file."""

    reason: str
    began: float
    opens: bool
    by_others: bool = False


class WorkerHandle:
    """One process at a time, started when it is needed."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.num_killed = self.num_died = 0
        self.is_closed = False
        self._is_in_step = True  # with the process: every word of its last answer was heard
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._lock = threading.Lock()  # between its thread, which starts processes, and the one that closes

    def ask(self, job: Job) -> Answer:
        """The answer of the process, or the reason for none; asked again if something other than the file ended it."""
        outcome = self._try(job)
        if isinstance(outcome, _Failure) and outcome.by_others:
            outcome = self._try(job)
        if not isinstance(outcome, _Failure):
            return outcome
        if isinstance(job, ProbeJob):
            return unreadable(job.path, outcome.reason)
        return bad_video(job.request, outcome.reason, outcome.began, outcome.opens)

    def _try(self, job: Job) -> "Answer | _Failure":
        channel = self._ready() or self._start()
        began, opens = time.monotonic(), False
        until = began + self.timeout_s
        self._is_in_step = False
        try:
            send(channel, job)
            reply = receive(channel, until)
            if reply == OPENED:
                opens = True
                reply = receive(channel, until)
            answer = None if isinstance(reply, Failed) else _answer(channel, job, reply, began, until)
            self._is_in_step = True
            return _Failure(reply.reason, began, opens) if isinstance(reply, Failed) else answer
        except TimeoutError:
            self.num_killed += 1
            self.kill()
            return _Failure(f"reading it took more than {self.timeout_s:g} s", began, opens)
        except (EOFError, OSError):
            self.num_died += 1
            code = self._end()
            return _Failure(_how_it_died(code), began, opens, by_others=code is not None and _is_by_others(code))

    def _ready(self) -> socket.socket | None:
        """The channel of a process that has kept its last clip; where it cannot, for as long, it is ended."""
        channel = self._channel
        if channel is None:
            return None
        try:
            if self._is_in_step:
                receive(channel, time.monotonic() + self.timeout_s)
                return channel
        except TimeoutError:
            self.num_killed += 1
        except (EOFError, OSError):
            self.num_died += 1
        self.kill()
        return None

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        process, channel = self._process, self._channel
        assert process is not None and channel is not None
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # it waits for a disk that does not answer: leave it behind
            process.wait(GRACE_S)
        channel.close()
        self._process = self._channel = None

    def _end(self) -> int | None:
        """The exit status, or minus the signal, of a process that has hung up; None where it had to be killed.

        Its end takes a while, and a kill of ours in that time would be taken for the system's.
        """
        assert self._process is not None
        code: int | None = None
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(GRACE_S)
        self.kill()
        return code

    def close(self) -> None:
        """Kill the process and start no other; ``wait`` sees its end."""
        with self._lock:
            self.is_closed = True
            process = self._process  # its thread may let go of it at any time
            if process is not None:
                process.kill()

    def wait(self, until: float) -> None:
        """Wait for the end of a process that was killed, until ``until`` by time.monotonic at most."""
        process = self._process
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(until - time.monotonic(), 0.0))

    def hang_up(self) -> None:
        """Close the channel; called by the worker's thread at its end."""
        if self._channel is not None:
            self._channel.close()

    def _start(self) -> socket.socket:
        with self._lock:
            if self.is_closed:
                raise WorkerStartError("the pool was closed")
            ours, theirs = socket.socketpair()
            with theirs:
                self._process = _new_process(theirs.fileno())
            self._channel = ours
        try:
            receive(ours, time.monotonic() + _START_S)
        except (TimeoutError, EOFError, OSError) as error:
            raise WorkerStartError(
                f"a process for reading videos could not be started ({_ending(self._end())}); its words are above. "
                "data.num_workers=0 reads them in the main process"
            ) from error
        return ours


def _new_process(channel: int) -> subprocess.Popen[bytes]:
    """Neither forked nor of multiprocessing's spawn: both bring what the main process holds or imports."""
    program = f"{_DEAF}; from tvg_lightning.data.workers.worker import main; main({channel}, {os.getpid()})"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen([sys.executable, "-c", program], env=environment, pass_fds=[channel])


def bad_video(request: ClipRequest, reason: str, began: float, opens: bool) -> BadVideo:
    """The BadVideo of a request that cannot be met; ``began`` by time.monotonic."""
    return BadVideo(request.path, reason, time.monotonic() - began, request.segment, opens)


def _is_by_others(code: int) -> bool:
    return code < 0 and -code not in _CRASHES


def _how_it_died(code: int | None) -> str:
    if code is None:
        return "its worker hung up and did not end"
    if not _is_by_others(code):
        return f"its decoder died ({_ending(code)})"
    guess = ": out of memory?" if -code == signal.SIGKILL else ""
    return f"its worker was killed by signal {-code} ({_ending(code)}), also when tried again{guess}"


def _ending(code: int | None) -> str:
    """The exit status or the signal's name, which those for real time do not have."""
    if code is None:
        return "it did not end by itself"
    names = {one.value: one.name for one in signal.Signals}
    return names.get(-code, f"signal {-code}") if code < 0 else f"exit status {code}"


def _answer(channel: socket.socket, job: Job, reply: Reply | str, began: float, until: float) -> Answer:
    """The answer in a reply, with the frames that follow it."""
    if isinstance(job, ProbeJob):
        assert isinstance(reply, FileReport)
        return reply
    if isinstance(job, DigestJob):
        assert reply is None or isinstance(reply, FileDigest)
        return reply
    if isinstance(reply, Refusal):
        return bad_video(job.request, reply.reason, began, reply.opens)
    assert isinstance(reply, ClipReply)
    frames = torch.empty(reply.shape, dtype=torch.uint8)
    fill(channel, tensor_bytes(frames), until)
    return VideoClip(frames, reply.times_s, reply.fps, reply.backend)
