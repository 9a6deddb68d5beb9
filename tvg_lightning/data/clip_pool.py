"""Clips read by processes that can be killed: a video that hangs or crashes its decoder costs its time-out.

Each worker process has a thread here, which waits for its answer, kills it when the time is up, and starts
another. The frames come through a socket straight into the tensor's memory: nothing is left behind by a kill.
"""

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

import torch

from tvg_lightning.data.bad_videos import BadVideo
from tvg_lightning.data.clip_worker import (
    LENGTH_BYTES,
    OPENED,
    ClipJob,
    ClipReply,
    ClipRequest,
    Job,
    ProbeJob,
    Refusal,
    Reply,
    read,
    send,
)
from tvg_lightning.data.feature_cache import ClipFeatures, FeatureCache
from tvg_lightning.data.frame_cache import FrameCache
from tvg_lightning.data.probing import FileReport, probe, unreadable
from tvg_lightning.data.tensor_store import tensor_bytes
from tvg_lightning.data.video import SegmentError, VideoClip, VideoError

_START_S = 300.0  # importing torch on a machine that is busy with other things
_GRACE_S = 10.0  # for the kernel to end a killed process

Clip = VideoClip | ClipFeatures  # what a policy can be asked about
Answer = VideoClip | BadVideo | FileReport  # of a worker
Result = Clip | BadVideo | FileReport
_Order = tuple[Job, "Future[Result]"]


class WorkerStartError(RuntimeError):
    """The worker process itself does not come up: no video is to blame."""


class ClipPool:
    """Reads clips ahead, in ``num_workers`` processes, each video within ``timeout_s`` seconds.

    With 0 workers a clip is read here when it is asked for, without protection against hangs and crashes.
    Clips in ``cache`` are read from there, without a worker; where their ``features`` are known, these come in
    their place. ``num_killed`` counts the time-outs, ``num_died`` the crashes.
    """

    def __init__(
        self,
        num_workers: int,
        timeout_s: float = 60.0,
        cache: FrameCache | None = None,
        features: FeatureCache | None = None,
    ) -> None:
        if num_workers < 0:
            raise ValueError(f"data.num_workers must be at least 0, got {num_workers}")
        if not timeout_s > 0:
            raise ValueError(f"data.video_timeout_s must be positive, got {timeout_s}")
        self.num_workers, self.timeout_s = num_workers, timeout_s
        self.cache, self.features = FrameCache(None) if cache is None else cache, features
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._workers = [_Worker(timeout_s) for _ in range(num_workers)]
        for worker in self._workers:
            serve = threading.Thread(target=_serve, args=(worker, self._orders, self.cache, features), daemon=True)
            serve.start()
        self._close = weakref.finalize(self, _close, self._workers, self._orders)

    def submit(self, request: ClipRequest) -> "Future[Clip | BadVideo]":
        """The clip to come, or what is wrong with its video."""
        return self._submit(ClipJob(request))  # type: ignore[return-value]  # no report comes of a ClipJob

    def probe(self, path: str) -> "Future[FileReport]":
        """What a file is, to come."""
        return self._submit(ProbeJob(path))  # type: ignore[return-value]  # nothing but a report comes of it

    def in_order(self, requests: Iterable[ClipRequest], prefetch: int) -> Iterator[Clip | BadVideo]:
        """The results of requests in their order, ``prefetch`` of them under way beyond the one waited for."""
        waiting: deque[Future[Clip | BadVideo]] = deque()
        for request in requests:
            waiting.append(self.submit(request))
            if len(waiting) > prefetch:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def close(self) -> None:
        """Kill the workers; what is still under way never comes."""
        self._close()

    @property
    def num_killed(self) -> int:
        return sum(worker.num_killed for worker in self._workers)

    @property
    def num_died(self) -> int:
        return sum(worker.num_died for worker in self._workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _submit(self, job: Job) -> "Future[Result]":
        assert self._close.alive, "the pool is closed"
        future: Future[Result] = Future()
        if self.num_workers:
            self._orders.put((job, future))
        else:
            future.set_result(_result(job, self.cache, self.features, _read_here))
        return future


class _Worker:
    """One process at a time, started when it is needed."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.num_killed = self.num_died = 0
        self.is_closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._lock = threading.Lock()  # between its thread, which starts processes, and the one that closes

    def ask(self, job: Job) -> Answer:
        """What the process answers, or why it did not."""
        channel = self._channel or self._start()
        began, opens = time.monotonic(), False
        until = began + self.timeout_s
        try:
            send(channel, job)
            reply = _receive(channel, until)
            if reply == OPENED:
                opens = True
                reply = _receive(channel, until)
            result = _answer(channel, job, reply, began, until)
        except TimeoutError:
            self.num_killed += 1
            reason = f"reading it took more than {self.timeout_s:g} s"
            self.kill()
        except (EOFError, OSError):
            self.num_died += 1
            reason = f"its decoder died ({self.kill()})"
        else:
            return result
        return unreadable(job.path, reason) if isinstance(job, ProbeJob) else _bad(job.request, reason, began, opens)

    def kill(self) -> str:
        """End the process, whatever it is doing; how it ended."""
        assert self._process is not None and self._channel is not None
        self._process.kill()  # after a crash nothing is there to be killed, and its own end is what we get
        try:
            code = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:  # it waits for a disk that does not answer: leave it behind
            code = -signal.SIGKILL
        self._channel.close()
        self._process = self._channel = None
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"

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
            _receive(ours, time.monotonic() + _START_S)
        except (TimeoutError, EOFError, OSError) as error:
            raise WorkerStartError(
                f"a process for reading videos could not be started ({self.kill()}); its words are above. "
                "data.num_workers=0 reads them in the main process"
            ) from error
        return ours


def _serve(
    worker: _Worker, orders: "SimpleQueue[_Order | None]", cache: FrameCache, features: FeatureCache | None
) -> None:
    """One worker's thread: it must not hold the pool, which ends the threads when nobody holds it any more."""
    while (order := orders.get()) is not None and not worker.is_closed:
        job, future = order
        if not future.set_running_or_notify_cancel():  # nobody waits for it any more
            continue
        try:
            future.set_result(_result(job, cache, features, worker.ask))
        except (OSError, RuntimeError, ValueError, MemoryError, AssertionError, pickle.PickleError) as error:
            future.set_exception(error)
    worker.hang_up()


def _result(job: Job, cache: FrameCache, features: FeatureCache | None, ask: Callable[[Job], Answer]) -> Result:
    """What is asked for: out of a cache, or of ``ask``."""
    if isinstance(job, ProbeJob):
        return ask(job)
    asked = job.request
    place = None if features is None else features.key(asked.path, asked.sampling, asked.segment)
    if features is not None and place is not None and (seen := features.find(place)) is not None:
        return seen
    key = cache.key(asked.path, asked.sampling, asked.segment)
    clip = cache.find(key) or ask(ClipJob(asked, cache.folder, cache.max_bytes, key))
    if features is not None and place is not None and isinstance(clip, VideoClip):
        return features.keeping(place, clip)
    return clip


def _read_here(job: Job) -> Answer:
    if isinstance(job, ProbeJob):
        return probe(Path(job.path))
    began = time.monotonic()
    try:
        return read(job)
    except VideoError as error:
        return _bad(job.request, str(error), began, opens=isinstance(error, SegmentError))


def _bad(request: ClipRequest, reason: str, began: float, opens: bool) -> BadVideo:
    return BadVideo(request.path, reason, time.monotonic() - began, request.segment, opens)


def _close(workers: list[_Worker], orders: "SimpleQueue[_Order | None]") -> None:
    for worker in workers:
        worker.close()
        orders.put(None)


def _answer(channel: socket.socket, job: Job, reply: Reply | str, began: float, until: float) -> Answer:
    """What a reply says, with the frames that follow it."""
    if isinstance(job, ProbeJob):
        assert isinstance(reply, FileReport)
        return reply
    if isinstance(reply, Refusal):
        return _bad(job.request, reply.reason, began, reply.opens)
    assert isinstance(reply, ClipReply)
    frames = torch.empty(reply.shape, dtype=torch.uint8)
    _fill(channel, tensor_bytes(frames), until)
    return VideoClip(frames, reply.times_s, reply.fps, reply.backend)


def _receive(channel: socket.socket, until: float) -> Reply | str:
    header = bytearray(LENGTH_BYTES)
    _fill(channel, memoryview(header), until)
    content = bytearray(int.from_bytes(header, "big"))
    _fill(channel, memoryview(content), until)
    return pickle.loads(content)


def _fill(channel: socket.socket, room: memoryview, until: float) -> None:
    """As many bytes as there is room for; TimeoutError when they do not come, EOFError when none will."""
    filled = 0
    while filled < len(room):
        channel.settimeout(max(until - time.monotonic(), 1e-3))
        num = channel.recv_into(room[filled:])
        if not num:
            raise EOFError
        filled += num
