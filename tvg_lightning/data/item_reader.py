"""Items read from questions: clips are read ahead; a bad video is replaced in training and named in evaluation."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

import torch

from tvg_lightning.data.bad_videos import BadVideo, BadVideos
from tvg_lightning.data.caches.tensor_store import TensorStore
from tvg_lightning.data.items import Item, ItemMaker, Question
from tvg_lightning.data.video import TEMPORAL_PATCH, FrameSettings, VideoClip
from tvg_lightning.data.workers.pool import Clip, ClipPool
from tvg_lightning.parallel import of_all_ranks
from tvg_lightning.schema import AnswerFormat, Sample, Task

log = logging.getLogger(__name__)

Candidates = Iterator[Question]  # the question drawn, then those that may take its place, in their order


class Reader(Protocol):
    """The part of an ItemReader that the loaders use."""

    def training(self, batches: Iterable[Sequence[Candidates]]) -> Iterator[list[Item]]: ...

    def evaluation(self, batches: Iterable[Sequence[Question]]) -> Iterator[list[Item]]: ...


@dataclass(frozen=True, slots=True)
class _ReadingMetrics:
    """Metrics of one process; of each cache the hits and the requests."""

    bad_videos: int
    killed: int
    died: int
    wait_s: float
    caches: dict[str, tuple[int, int]]


@dataclass(slots=True)
class _Wanted:
    """An item to come: the question first asked for, and the one whose clip is under way, if there is any left."""

    first: Question
    others: Candidates
    asked: "tuple[Question, Future[Clip | BadVideo]] | None" = None


class ItemReader:
    """Gives the items of batches of questions in their order, ``prefetch`` batches read ahead.

    In training the first candidate that can be read is taken, whatever is known already: so the draws do not
    depend on when, or by which process, a bad video was found. In evaluation nothing is replaced. Without
    workers nothing is read ahead.
    """

    def __init__(self, maker: ItemMaker, pool: ClipPool, bad: BadVideos, prefetch: int) -> None:
        self.maker, self.pool, self.bad = maker, pool, bad
        self.prefetch = prefetch if pool.num_workers else 0
        self._wait_s = 0.0
        self._contradicting: set[str] = set()  # videos of which it was said

    @classmethod
    def in_this_process(
        cls, videos: str | Path, form: AnswerFormat, frames: FrameSettings | None = None, *, side: int
    ) -> Self:
        """A reader without workers, caches and log: for a notebook, where a video that hangs can be interrupted.

        ``side``: ``PolicyBackbone.side`` of the policy that the items are for.
        """
        maker = ItemMaker(Path(videos), form, frames or FrameSettings(), side=side)
        return cls(maker, ClipPool(0), BadVideos(None, ()), prefetch=0)

    def training(self, batches: Iterable[Sequence[Candidates]]) -> Iterator[list[Item]]:
        """One item for each of a batch's candidates; ValueError where none of them can be read."""
        reading = self._read(batches, self._refuse)
        while True:
            began = time.monotonic()
            batch = next(reading, None)
            self._wait_s += time.monotonic() - began
            if batch is None:
                return
            yield batch

    def evaluation(self, batches: Iterable[Sequence[Question]]) -> Iterator[list[Item]]:
        """One item for each question; with an ``error`` in it where its video cannot be read."""
        return self._read(([iter([question]) for question in batch] for batch in batches), self._with_placeholder)

    def metrics(self) -> dict[str, float]:
        """Metrics of reading over all processes, each of which must call this at the same point.

        ``bad_videos``: of the process that knows of most, as they share one log. ``wait_s``: since the last call, of
        the process that waited longest, as the others waited for it. All else is counted together.
        """
        caches: dict[str, TensorStore] = {}
        if self.pool.cache.folder is not None:
            caches["frame_cache"] = self.pool.cache.files
        if self.pool.features is not None:
            caches["feature_cache"] = self.pool.features.files
        ours = _ReadingMetrics(
            len(self.bad),
            self.pool.num_killed,
            self.pool.num_died,
            self._wait_s,
            {name: (cache.hits, cache.hits + cache.misses) for name, cache in caches.items()},
        )
        self._wait_s = 0.0
        return _together(of_all_ranks(ours))

    def _read(
        self, batches: Iterable[Sequence[Candidates]], where_none: Callable[[Question], Item]
    ) -> Iterator[list[Item]]:
        waiting: deque[list[_Wanted]] = deque()
        try:
            for batch in batches:
                waiting.append([self._begin(candidates) for candidates in batch])
                if len(waiting) > self.prefetch:
                    yield [self._finish(wanted, where_none) for wanted in waiting.popleft()]
            while waiting:
                yield [self._finish(wanted, where_none) for wanted in waiting.popleft()]
        finally:  # left in the middle: what no worker has begun is not read
            for wanted in (wanted for batch in waiting for wanted in batch):
                if wanted.asked is not None:
                    wanted.asked[1].cancel()

    def _begin(self, candidates: Candidates) -> _Wanted:
        first = next(candidates)
        wanted = _Wanted(first, candidates)
        self._ask(wanted, first)
        return wanted

    def _ask(self, wanted: _Wanted, question: Question | None) -> None:
        """Have a question's clip read, or that of the first after it that is not known to be bad."""
        while question is not None:
            request = self.maker.request(question)
            if self.bad.find(request.path, request.segment) is None:
                wanted.asked = question, self.pool.submit(request)
                return
            question = next(wanted.others, None)
        wanted.asked = None

    def _finish(self, wanted: _Wanted, where_none: Callable[[Question], Item]) -> Item:
        while wanted.asked is not None:
            question, future = wanted.asked
            clip = self._outcome(question, future)
            if not isinstance(clip, BadVideo):
                self.bad.note_good()
                self._check_duration(question, clip)
                item = self.maker.make(question, clip)
                is_first = question is wanted.first
                return item if is_first else replace(item, replaces=wanted.first.sample.sample_id)
            self._ask(wanted, next(wanted.others, None))
        return where_none(wanted.first)

    def _check_duration(self, question: Question, clip: Clip) -> None:
        """Say, once a video, where its annotation tells of another length than its file has."""
        sample = question.sample
        if question.task != Task.TVG or sample.video in self._contradicting:
            return
        words = contradiction(sample, clip)
        if words is not None:
            self._contradicting.add(sample.video)
            log.warning(words)

    def _outcome(self, question: Question, future: "Future[Clip | BadVideo]") -> Clip | BadVideo:
        request = self.maker.request(question)
        known = self.bad.find(request.path, request.segment)
        if known is not None:  # found by a batch before, after this was asked for
            future.cancel()
            return known
        result = future.result()
        if isinstance(result, BadVideo):
            log.warning("bad video: %s", _named(result))
            self.bad.note(result, question.position)
        return result

    def _known(self, question: Question) -> BadVideo:
        request = self.maker.request(question)
        bad = self.bad.find(request.path, request.segment)
        assert bad is not None, "only a bad video leaves a question without a clip"
        return bad

    def _refuse(self, question: Question) -> Item:
        raise ValueError(
            f"the video of sample {question.sample.sample_id} cannot be read, nor any that could take its place: "
            f"{_named(self._known(question))}; {self.bad.log} says why the others cannot"
        )

    def _with_placeholder(self, question: Question) -> Item:
        """An item that keeps its batch in step, and whose answer does not count."""
        bad = self._known(question)
        log.warning("sample %s counts as not answered: %s", question.sample.sample_id, _named(bad))
        return self.maker.make(question, _placeholder(self.maker.side), bad.reason)


def contradiction(sample: Sample, clip: Clip) -> str | None:
    """Words on a clip of the whole (cut) video whose length is not the annotated one; None where they agree.

    The length follows from the frames taken: they are spread evenly over it. Rounded lengths and those of whole
    segments are common, so up to 2 s or a quarter of the longer one is no contradiction.
    """
    length_s, said_s = clip.times_s[0] + len(clip.times_s) / clip.fps, sample.duration_s
    if abs(length_s - said_s) <= max(2.0, max(length_s, said_s) / 4):
        return None
    return (
        f"sample {sample.sample_id}: its annotation says {said_s:g} s, its video {sample.video} lasts about "
        f"{length_s:.1f} s: correct the duration and the windows, or the video's name"
    )


def _placeholder(side: int) -> VideoClip:
    """A black clip of one video token."""
    return VideoClip(torch.zeros(TEMPORAL_PATCH, side, side, 3, dtype=torch.uint8), (0.0, 1.0), 1.0, "none")


def _together(parts: Sequence[_ReadingMetrics]) -> dict[str, float]:
    """The metrics of all processes; all have the same caches."""
    metrics = {
        "bad_videos": float(max(part.bad_videos for part in parts)),
        "killed": float(sum(part.killed for part in parts)),
        "died": float(sum(part.died for part in parts)),
        "wait_s": max(part.wait_s for part in parts),
    }
    for cache in parts[0].caches:
        hits, requests = (sum(counts) for counts in zip(*(part.caches[cache] for part in parts), strict=True))
        metrics[f"{cache}_hit_rate"] = hits / max(1, requests)
    return metrics


def _named(bad: BadVideo) -> str:
    """The reason with the file's name in front, if it is not there."""
    return bad.reason if bad.reason.startswith(bad.path) else f"{bad.path}: {bad.reason}"
