"""From questions to items over a pool that answers from a table: what is read ahead, replaced, and named."""

import json
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.runs import by_two_ranks
from tvg_lightning.data.bad_videos import BadVideo, BadVideos, replacements
from tvg_lightning.data.caches.frame_cache import FrameCache
from tvg_lightning.data.item_reader import ItemReader, contradiction
from tvg_lightning.data.items import Item, ItemMaker, Question
from tvg_lightning.data.video import FrameSettings, VideoClip
from tvg_lightning.data.workers.pool import ClipPool
from tvg_lightning.data.workers.worker import ClipRequest
from tvg_lightning.parallel import of_all_ranks
from tvg_lightning.schema import AnswerFormat, Method, Sample, Span, Task

TAR_TVG = AnswerFormat(Method.TAR_TVG)

CLIP = VideoClip(torch.full((2, 28, 28, 3), 7, dtype=torch.uint8), (0.0, 0.5), 2.0, "table")
MAKER = ItemMaker(Path("v"), TAR_TVG, FrameSettings(), side=32)


class TablePool(ClipPool):
    """Knows which videos are bad, and of which nothing ever comes; notes what it is asked for."""

    def __init__(self, bad: Iterable[int], num_workers: int = 1) -> None:
        super().__init__(0)
        self.bad, self.num_workers = set(bad), num_workers
        self.silent: set[int] = set()
        self.asked: list[int] = []
        self.futures: list[Future[Any]] = []

    def submit(self, request: ClipRequest) -> Any:
        number = int(Path(request.path).stem)
        self.asked.append(number)
        self.futures.append(Future())
        if number not in self.silent:
            self.futures[-1].set_result(BadVideo(request.path, "it hangs", 60.0) if number in self.bad else CLIP)
        return self.futures[-1]


def sample(number: int) -> Sample:
    return Sample(f"s{number}", f"{number}.mp4", 9.0, "The red circle rises.", (Span(1.0, 2.0),))


def question(number: int, position: int) -> Question:
    return Question(sample(number), Task.TVG, position)


def drawn(order: list[int], batch_size: int = 2) -> Iterator[list[Iterator[Question]]]:
    """Batches of the samples in this order, each followed by what may take its place."""
    for start in range(0, len(order), batch_size):
        yield [candidates(order, place) for place in range(start, start + batch_size)]


def candidates(order: list[int], place: int) -> Iterator[Question]:
    for number in (order[place], *replacements(order, place)):
        yield question(number, place)


def read(pool: TablePool, known: BadVideos | None = None, prefetch: int = 2) -> ItemReader:
    return ItemReader(MAKER, pool, known or BadVideos(None, ()), prefetch)


def seen(batches: Iterable[list[Item]]) -> list[tuple[int, int]]:
    """Sample and position of every item."""
    return [(int(item.sample.sample_id[1:]), item.position) for batch in batches for item in batch]


def test_the_next_that_can_be_read_stands_in_under_the_position_drawn() -> None:
    pool = TablePool(bad=[1, 4])
    items = list(read(pool).training(drawn([0, 1, 2, 3, 5, 4])))
    assert [len(batch) for batch in items] == [2, 2, 2]
    assert seen(items) == [(0, 0), (2, 1), (2, 2), (3, 3), (5, 4), (0, 5)]
    assert all(item.clip is CLIP and item.error is None for batch in items for item in batch)


@given(st.data())
def test_what_is_known_and_how_far_is_read_ahead_changes_nothing(data: st.DataObject) -> None:
    """A rank that has heard of a bad video draws as one that has to find out."""
    order = data.draw(st.permutations(range(8)))
    bad = data.draw(st.sets(st.integers(0, 7), max_size=7))
    told = data.draw(st.sets(st.sampled_from(sorted(bad)))) if bad else set()
    prefetch = data.draw(st.integers(0, 4))
    expected = [
        (next(k for k in (order[place], *replacements(order, place)) if k not in bad), place) for place in range(8)
    ]
    known = BadVideos(None, ())
    for number in told:
        known.note(BadVideo(f"v/{number}.mp4", "it hangs", 60.0), 0)
    pool = TablePool(bad)
    assert seen(read(pool, known, prefetch).training(drawn(list(order)))) == expected
    assert not told & set(pool.asked)


@pytest.mark.parametrize(("prefetch", "num_workers", "num_batches"), [(2, 1, 3), (0, 1, 1), (2, 0, 1)])
def test_no_further_ahead_than_told_and_without_workers_not_at_all(
    prefetch: int, num_workers: int, num_batches: int
) -> None:
    pool = TablePool([], num_workers)
    reading = read(pool, prefetch=prefetch).training(drawn(list(range(10))))
    next(reading)
    assert pool.asked == list(range(2 * num_batches))
    next(reading)
    assert pool.asked == list(range(2 * num_batches + 2))


def test_what_is_left_is_not_read() -> None:
    pool = TablePool([])
    reading = read(pool).training(drawn(list(range(10))))
    next(reading)
    pool.silent = set(range(10))
    next(reading)
    assert [future.cancelled() for future in pool.futures[6:]] == [False, False]
    reading.close()
    assert [future.cancelled() for future in pool.futures[6:]] == [True, True]


def test_a_bad_video_is_waited_for_once() -> None:
    """Asked for three times before it is known: the second and third answers, which never come, are not missed."""
    pool = TablePool(bad=[0])

    def batches() -> Iterator[list[Iterator[Question]]]:
        for position in range(3):
            pool.silent = {0} if position else set()
            yield [iter([question(0, position), question(1, position)])]

    assert seen(read(pool).training(batches())) == [(1, 0), (1, 1), (1, 2)]
    assert pool.asked == [0, 0, 0, 1, 1, 1]
    assert [future.cancelled() for future in pool.futures] == [False, True, True, False, False, False]


def test_where_none_can_be_read_the_run_stops() -> None:
    with pytest.raises(ValueError, match=r"sample s0 cannot be read, nor any .*v/0\.mp4: it hangs"):
        list(read(TablePool(bad=range(4))).training(drawn([0, 1, 2, 3])))


def test_in_evaluation_nothing_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    pool = TablePool(bad=[1])
    reader = read(pool)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):  # the second time it is known
            good, bad = next(reader.evaluation([[question(0, 0), question(1, 1)]]))
            assert (good.error, good.clip is CLIP, bad.sample, bad.position) == (None, True, sample(1), 1)
            assert bad.error == "it hangs" and isinstance(bad.clip, VideoClip) and not bad.clip.frames.any()
            assert bad.clip.frames.shape == (2, 32, 32, 3), "one token of the maker's policy"
    assert pool.asked == [0, 1, 0]
    assert caplog.text.count("sample s1 counts as not answered: v/1.mp4: it hangs") == 2


def test_metrics() -> None:
    reader = read(TablePool(bad=[1]))
    list(reader.training(drawn([0, 1, 2, 3])))
    metrics = reader.metrics()
    assert metrics.pop("wait_s") > 0 and metrics == {"bad_videos": 1.0, "killed": 0.0, "died": 0.0}
    assert reader.metrics()["wait_s"] == 0.0


def _read_as(rank: int, folder: Path) -> None:
    """One of two processes that share the log and the folder of frames; the second reads twice what is there."""
    pool = TablePool(bad=[1])
    pool.cache = FrameCache(folder / "frames")
    pool.cache.files.hits, pool.cache.files.misses = 3 * rank, 1
    reader = read(pool, BadVideos(folder / f"{rank}.jsonl", ()))
    list(reader.training(drawn([0, 1, 2, 3] if rank else [0, 2, 3, 4])))
    waited_s = of_all_ranks(reader._wait_s)
    metrics = reader.metrics()
    metrics["waited_longest"] = float(metrics.pop("wait_s") == max(waited_s))
    (folder / str(rank)).write_text(json.dumps(metrics), encoding="utf-8")


def test_metrics_of_two_processes_are_counted_together(tmp_path: Path) -> None:
    """Hits: 0 of 1 and 3 of 4 requests."""
    by_two_ranks(_read_as, tmp_path)
    expected = {"bad_videos": 1.0, "killed": 0.0, "died": 0.0, "frame_cache_hit_rate": 0.6, "waited_longest": 1.0}
    assert [json.loads((tmp_path / str(rank)).read_text(encoding="utf-8")) for rank in range(2)] == [expected] * 2


def clip_of(length_s: float, num: int = 4, late_s: float = 0.0) -> VideoClip:
    """A clip of a file that lasts so long, as it is sampled."""
    times_s = tuple(late_s + k * (length_s - late_s) / num for k in range(num))
    return VideoClip(torch.zeros(num, 28, 28, 3, dtype=torch.uint8), times_s, num / (length_s - late_s), "made")


@pytest.mark.parametrize(
    ("said_s", "clip", "contradicts"),
    [
        (100.0, clip_of(6.0), True),
        (6.0, clip_of(100.0), True),
        (100.0, clip_of(70.0), True),
        (100.0, clip_of(80.0), False),
        (30.0, clip_of(25.5), False),  # whole segments, as in DiDeMo
        (1.0, clip_of(2.5), False),
        (8.5, clip_of(8.5, late_s=2.5), False),
        (100.0, clip_of(6.0, num=2), True),
    ],
)
def test_a_duration_that_the_file_contradicts(said_s: float, clip: VideoClip, contradicts: bool) -> None:
    words = contradiction(replace(sample(3), duration_s=said_s), clip)
    assert (words is not None) == contradicts
    if words is not None:
        assert f"sample s3: its annotation says {said_s:g} s, its video 3.mp4 lasts about" in words


def test_a_contradiction_is_said_once_a_video(caplog: pytest.LogCaptureFixture) -> None:
    reader = ItemReader(MAKER, TablePool(bad=[]), BadVideos(None, ()), prefetch=0)  # clips of 1 s
    questions = [question(0, 0), question(0, 1), Question(replace(sample(1), duration_s=1.0), Task.TVG, 2)]
    list(reader.evaluation([questions]))
    assert caplog.text.count("its annotation says") == caplog.text.count("sample s0: its annotation says 9 s") == 1
