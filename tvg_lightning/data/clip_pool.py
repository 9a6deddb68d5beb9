"""Clips read by processes that can be killed: a video that hangs or crashes its decoder costs its time-out.

Each worker process has a thread here, which waits for its answer.
"""

import pickle
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

from tvg_lightning.data.bad_videos import BadVideo
from tvg_lightning.data.clip_worker import ClipJob, ClipRequest, Job, ProbeJob, read
from tvg_lightning.data.feature_cache import ClipFeatures, FeatureCache
from tvg_lightning.data.frame_cache import FrameCache
from tvg_lightning.data.probing import FileReport, probe
from tvg_lightning.data.video import SegmentError, VideoClip, VideoError
from tvg_lightning.data.worker_process import Answer, WorkerProcess, bad_video

Clip = VideoClip | ClipFeatures  # what a policy can be asked about
Result = Clip | BadVideo | FileReport
_Order = tuple[Job, "Future[Result]"]


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
        self._workers = [WorkerProcess(timeout_s) for _ in range(num_workers)]
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


def _serve(
    worker: WorkerProcess, orders: "SimpleQueue[_Order | None]", cache: FrameCache, features: FeatureCache | None
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
        return bad_video(job.request, str(error), began, opens=isinstance(error, SegmentError))


def _close(workers: list[WorkerProcess], orders: "SimpleQueue[_Order | None]") -> None:
    for worker in workers:
        worker.close()
        orders.put(None)
