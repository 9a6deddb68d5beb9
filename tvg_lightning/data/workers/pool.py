"""Clips read by processes that can be killed: a video that hangs or crashes its decoder costs its time-out.

Each worker process has a thread here, which waits for its answer.
"""

import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from tvg_lightning.data.bad_videos import BadVideo
from tvg_lightning.data.caches.digests import FileDigest, digest_of
from tvg_lightning.data.caches.feature_cache import ClipFeatures, FeatureCache
from tvg_lightning.data.caches.frame_cache import FrameCache
from tvg_lightning.data.probing import FileReport, probe
from tvg_lightning.data.video import SegmentError, VideoClip, VideoError
from tvg_lightning.data.workers.handle import GRACE_S, Answer, WorkerHandle, bad_video
from tvg_lightning.data.workers.worker import ClipJob, ClipRequest, DigestJob, Job, ProbeJob, keep, read

LONGEST_TIMEOUT_S = 86_400.0  # a day; the system's own clocks for waiting end at some 24 days

Clip = VideoClip | ClipFeatures  # what a policy can be asked about
Result = Clip | BadVideo | FileReport
_Order = tuple[ClipRequest | ProbeJob, "Future[Result]"]
_Orders = SimpleQueue[_Order | None]


@dataclass(frozen=True, slots=True)
class _Caches:
    """Both caches, and the known digests of the files, by which they name their entries."""

    frames: FrameCache
    features: FeatureCache | None
    digests: dict[str, FileDigest] = field(default_factory=dict)  # by path


def check_pool(num_workers: int, timeout_s: float) -> None:
    """ValueError where a pool cannot have these settings."""
    if num_workers < 0:
        raise ValueError(f"data.num_workers must be at least 0, got {num_workers}")
    if not 0 < timeout_s <= LONGEST_TIMEOUT_S:
        raise ValueError(f"data.video_timeout_s must be above 0 and at most a day, 86400, got {timeout_s}")


class ClipPool:
    """Reads clips ahead, in ``num_workers`` processes, each video within ``timeout_s`` seconds.

    With 0 workers a clip is read here when it is asked for, without protection against hangs and crashes.
    Clips in ``cache`` are read from there and not decoded; where their ``features`` are cached, these come in
    their place. The bytes of a file, by which the caches know it, are read by a worker, too, with a time-out of their
    own. ``num_killed`` counts the time-outs, ``num_died`` the crashes.
    """

    def __init__(
        self,
        num_workers: int,
        timeout_s: float = 60.0,
        cache: FrameCache | None = None,
        features: FeatureCache | None = None,
    ) -> None:
        check_pool(num_workers, timeout_s)
        self.num_workers, self.timeout_s = num_workers, timeout_s
        self.cache, self.features = FrameCache(None) if cache is None else cache, features
        self._caches = _Caches(self.cache, features)
        self._orders: _Orders = SimpleQueue()
        self._workers = [WorkerHandle(timeout_s) for _ in range(num_workers)]
        for worker in self._workers:
            threading.Thread(target=_serve, args=(worker, self._orders, self._caches), daemon=True).start()
        self._close = weakref.finalize(self, _close, self._workers, self._orders)

    def submit(self, request: ClipRequest) -> "Future[Clip | BadVideo]":
        """The clip to come, or what is wrong with its video."""
        return self._submit(request)  # type: ignore[return-value]  # no report comes of it

    def probe(self, path: str) -> "Future[FileReport]":
        """The report on a file, to come."""
        return self._submit(ProbeJob(path))  # type: ignore[return-value]  # nothing but a report comes of it

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

    def _submit(self, asked: ClipRequest | ProbeJob) -> "Future[Result]":
        assert self._close.alive, "the pool is closed"
        future: Future[Result] = Future()
        if self.num_workers:
            self._orders.put((asked, future))
        else:
            future.set_result(_result(asked, self._caches, _answer_here))
        return future


class _RaisedTo:
    """Hands what is raised inside to the future, which raises it: a dead thread would be waited for for ever."""

    def __init__(self, future: "Future[Result]") -> None:
        self.future = future

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        if error is not None:
            self.future.set_exception(error)
        return True


def _serve(worker: WorkerHandle, orders: _Orders, caches: _Caches) -> None:
    """One worker's thread: it must not hold the pool, which ends the threads when nobody holds it any more."""
    while (order := orders.get()) is not None and not worker.is_closed:
        asked, future = order
        if not future.set_running_or_notify_cancel():  # nobody waits for it any more
            continue
        with _RaisedTo(future):
            future.set_result(_result(asked, caches, worker.ask))
    worker.hang_up()


def _result(asked: ClipRequest | ProbeJob, caches: _Caches, ask: Callable[[Job], Answer]) -> Result:
    """The result of a request: from a cache, or from ``ask``."""
    if isinstance(asked, ProbeJob):
        report = ask(asked)
        assert isinstance(report, FileReport)
        return report
    frames, features = caches.frames, caches.features
    frame_key = feature_key = None
    if frames.folder is not None or features is not None:
        digest = ask(DigestJob(asked, caches.digests.get(asked.path)))
        if isinstance(digest, BadVideo):
            return digest
        if isinstance(digest, FileDigest):
            caches.digests[asked.path] = digest
            about = (digest.digest, asked.frames, asked.segment, asked.side)
            frame_key = frames.key(*about)
            feature_key = None if features is None else features.key(*about)
    if features is not None and feature_key is not None and (cached := features.find(feature_key)) is not None:
        return cached
    clip = frames.find(frame_key) or ask(ClipJob(asked, frames.folder, frames.files.max_bytes, frame_key))
    assert isinstance(clip, VideoClip | BadVideo)
    if features is not None and feature_key is not None and isinstance(clip, VideoClip):
        return features.keeping(feature_key, clip, asked.side)
    return clip


def _answer_here(job: Job) -> Answer:
    if isinstance(job, ProbeJob):
        return probe(Path(job.path))
    if isinstance(job, DigestJob):
        return digest_of(Path(job.request.path), job.known)
    began = time.monotonic()
    try:
        clip = read(job.request)
    except VideoError as error:
        return bad_video(job.request, str(error), began, opens=isinstance(error, SegmentError))
    keep(job, clip)
    return clip


def _close(workers: list[WorkerHandle], orders: _Orders) -> None:
    for worker in workers:
        worker.close()
        orders.put(None)
    until = time.monotonic() + GRACE_S
    for worker in workers:
        worker.wait(until)
