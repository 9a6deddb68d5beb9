"""Clips by processes of their own: a video that hangs or crashes its decoder costs itself only."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from math import inf, nan
from pathlib import Path

import psutil
import pytest
import torch

from tests.data.workers.test_handle import Undying
from tvg_lightning.data.bad_videos import BadVideo, BadVideos, replacements
from tvg_lightning.data.caches import digests
from tvg_lightning.data.caches.feature_cache import ClipFeatures, FeatureCache
from tvg_lightning.data.caches.frame_cache import FrameCache
from tvg_lightning.data.video import FrameSettings, VideoClip, read_clip
from tvg_lightning.data.workers import handle
from tvg_lightning.data.workers import pool as pool_module
from tvg_lightning.data.workers.handle import WorkerStartError
from tvg_lightning.data.workers.pool import ClipPool
from tvg_lightning.data.workers.worker import ClipRequest
from tvg_lightning.schema import Span

WriteVideo = Callable[..., Path]
TWO_FPS = FrameSettings()


@pytest.fixture
def videos(write_video: WriteVideo) -> list[str]:
    return [str(write_video(f"{name}.mp4", [k / 10 for k in range(n)])) for name, n in (("a", 20), ("b", 30))]


@pytest.fixture
def damaged(videos: list[str]) -> dict[str, str]:
    """Files for the doubles, one cut short, and one that is not there."""
    folder = Path(videos[0]).parent
    content = Path(videos[0]).read_bytes()
    for name, share in (("hangs", 1.0), ("crashes", 1.0), ("cut", 0.6)):
        (folder / f"{name}.mp4").write_bytes(content[: int(len(content) * share)])
    return {name: str(folder / f"{name}.mp4") for name in ("hangs", "crashes", "cut", "absent")}


def same(a: object, b: VideoClip) -> bool:
    assert isinstance(a, VideoClip), a
    return torch.equal(a.frames, b.frames) and (a.times_s, a.fps, a.backend) == (b.times_s, b.fps, b.backend)


def read(pool: ClipPool, requests: list[ClipRequest]) -> list[object]:
    """What comes of requests that are under way together."""
    return [future.result() for future in [pool.submit(request) for request in requests]]


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "workers.worker" in " ".join(child.cmdline())]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_clips_come_in_order(num_workers: int, videos: list[str]) -> None:
    requests = [ClipRequest(videos[k % 2], TWO_FPS, None if k < 4 else Span(0.5, 1.6), side=28) for k in range(8)]
    with ClipPool(num_workers) as pool:
        results = read(pool, requests)
        assert len(children()) == num_workers
    assert not children()
    for result, request in zip(results, requests, strict=True):
        assert same(result, read_clip(request.path, TWO_FPS, request.segment, side=28))


@pytest.mark.usefixtures("doubles")
def test_what_hangs_or_crashes_costs_itself_only(videos: list[str], damaged: dict[str, str]) -> None:
    paths = [videos[0], damaged["hangs"], damaged["crashes"], damaged["cut"], damaged["absent"], videos[1]]
    with ClipPool(1, timeout_s=3.0) as pool:
        first, hangs, crashes, cut, absent, last = read(pool, [ClipRequest(path, TWO_FPS, side=28) for path in paths])
        assert (pool.num_killed, pool.num_died) == (1, 1)
    assert same(first, read_clip(videos[0], TWO_FPS, side=28)) and same(last, read_clip(videos[1], TWO_FPS, side=28))
    for bad, name, reason in (
        (hangs, "hangs", "reading it took more than 3 s"),
        (crashes, "crashes", "its decoder died (SIGSEGV)"),
        (cut, "cut", "cannot be read"),
        (absent, "absent", "no such file"),
    ):
        assert isinstance(bad, BadVideo) and bad.path == damaged[name] and reason in bad.reason
        assert not bad.opens
    assert isinstance(hangs, BadVideo) and hangs.seconds >= 3.0
    assert not children()


@pytest.mark.usefixtures("doubles")
def test_a_part_that_hangs_says_nothing_of_the_others(write_video: WriteVideo) -> None:
    path = str(write_video("stalls.mp4", [k / 10 for k in range(30)]))
    with ClipPool(1, timeout_s=3.0) as pool:
        bad = pool.submit(ClipRequest(path, FrameSettings(decoder="pyav"), Span(0.5, 1.5), side=28)).result()
    assert isinstance(bad, BadVideo) and "more than 3 s" in bad.reason
    assert bad.opens and bad.segment == Span(0.5, 1.5)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_segment_outside_is_not_the_files_fault(num_workers: int, videos: list[str]) -> None:
    with ClipPool(num_workers) as pool:
        bad = pool.submit(ClipRequest(videos[0], TWO_FPS, Span(7.0, 9.0), side=28)).result()
    assert (
        isinstance(bad, BadVideo) and bad.segment == Span(7.0, 9.0) and bad.opens and "outside the video" in bad.reason
    )


@pytest.mark.parametrize("num_workers", [0, 1])
def test_clips_in_the_cache_are_not_decoded(
    num_workers: int, videos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ClipRequest(videos[0], TWO_FPS, side=28)
    with ClipPool(num_workers, cache=FrameCache(tmp_path / "cache")) as pool:
        first = pool.submit(request).result()
        pool.submit(ClipRequest(videos[1], TWO_FPS, side=28)).result()  # by then the first is kept
    monkeypatch.setattr(pool_module, "ClipJob", None)  # whoever has one decoded now fails
    cache = FrameCache(tmp_path / "cache")
    with ClipPool(num_workers, cache=cache) as pool:
        again = pool.submit(request).result()
    assert isinstance(first, VideoClip) and same(again, first) and (cache.files.hits, cache.files.misses) == (1, 0)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_policies_with_tokens_of_another_size_share_folders_and_no_entry(
    num_workers: int, videos: list[str], tmp_path: Path
) -> None:
    frames, settings, kept = FrameCache(tmp_path / "frames"), FrameSettings(min_tokens=64), []
    for side in (28, 32, 28, 32):
        features = FeatureCache(tmp_path / "features", "tower", torch.float32)
        with ClipPool(num_workers, cache=frames, features=features) as pool:
            clip = pool.submit(ClipRequest(videos[0], settings, side=side)).result()
            pool.submit(ClipRequest(videos[1], TWO_FPS, side=side)).result()  # by then the first is kept
        expected = read_clip(videos[0], settings, side=side)
        num_t, num_h, num_w = len(expected.frames) // 2, *(length // side for length in expected.frames.shape[1:3])
        if isinstance(clip, VideoClip):
            assert same(clip, expected) and clip.keep is not None
            clip.keep(torch.full((num_t * num_h * num_w, 3), float(side)))
        else:
            assert isinstance(clip, ClipFeatures) and clip.grid_thw == (num_t, 2 * num_h, 2 * num_w)
            kept.append(clip.features.unique().tolist())
    assert kept == [[28.0], [32.0]], "of each policy its own, the second time"


def test_the_bound_of_the_cache_holds_for_workers(videos: list[str], tmp_path: Path) -> None:
    with ClipPool(1, cache=FrameCache(tmp_path / "cache", max_bytes=1000)) as pool:
        assert all(
            isinstance(clip, VideoClip) for clip in read(pool, [ClipRequest(path, TWO_FPS, side=28) for path in videos])
        )
    assert not (tmp_path / "cache").exists()  # a clip alone is larger


@pytest.mark.usefixtures("doubles")
def test_keeping_a_clip_is_not_on_the_time_of_a_video(
    videos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk that never answers: each clip comes, and the worker that is left waiting there is replaced."""
    monkeypatch.setenv("DISK_HANGS", "1")
    with ClipPool(1, timeout_s=3.0, cache=FrameCache(tmp_path / "cache")) as pool:
        clips = read(pool, [ClipRequest(path, TWO_FPS, side=28) for path in videos])
        assert pool.num_killed == 1
    assert all(same(clip, read_clip(path, TWO_FPS, side=28)) for clip, path in zip(clips, videos, strict=True))


@pytest.mark.usefixtures("doubles")
def test_bytes_that_never_come_cost_the_time_out(videos: list[str], tmp_path: Path) -> None:
    silent = Path(videos[0]).with_name("silent.mp4")
    silent.write_bytes(b"x")
    with ClipPool(1, timeout_s=3.0, cache=FrameCache(tmp_path / "cache")) as pool:
        bad, clip = read(pool, [ClipRequest(str(silent), TWO_FPS, side=28), ClipRequest(videos[0], TWO_FPS, side=28)])
    assert isinstance(bad, BadVideo) and "more than 3 s" in bad.reason and not bad.opens
    assert same(clip, read_clip(videos[0], TWO_FPS, side=28))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_cache_hides_no_bad_file(num_workers: int, videos: list[str], tmp_path: Path) -> None:
    """Absent, a folder, a name longer than any may be: the same words as without a cache, and the run goes on."""
    paths = [videos[0] + ".absent", str(tmp_path), str(tmp_path / f"{'x' * 300}.mp4")]
    requests = [ClipRequest(path, TWO_FPS, side=28) for path in paths]
    with ClipPool(num_workers, cache=FrameCache(tmp_path / "cache")) as pool, ClipPool(num_workers) as plain:
        for bad, expected in zip(read(pool, requests), read(plain, requests), strict=True):
            assert isinstance(bad, BadVideo) and isinstance(expected, BadVideo) and bad.reason == expected.reason
    assert isinstance(expected, BadVideo) and "cannot be read (" in expected.reason


def test_two_caches_read_a_files_bytes_once(videos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest, taken = digests.hashlib.file_digest, []

    def counted(file: object, name: str) -> object:
        taken.append(name)
        return digest(file, name)  # type: ignore[arg-type]

    monkeypatch.setattr(digests.hashlib, "file_digest", counted)
    features = FeatureCache(tmp_path / "features", "tower", torch.float32)
    with ClipPool(0, cache=FrameCache(tmp_path / "cache"), features=features) as pool:
        for segment in (None, Span(0.0, 1.0)):
            pool.submit(ClipRequest(videos[0], TWO_FPS, segment, side=28)).result()
    assert len(taken) == 1


def test_features_that_are_known_come_in_place_of_frames(videos: list[str], tmp_path: Path) -> None:
    features = FeatureCache(tmp_path / "features", "tower", torch.float32)
    with ClipPool(0, features=features) as pool:
        clip = pool.submit(ClipRequest(videos[0], TWO_FPS, side=28)).result()
        assert isinstance(clip, VideoClip) and clip.keep is not None and clip.frames.shape == (4, 56, 56, 3)
        seen = torch.randn(8, 3)
        clip.keep(seen)
        again = pool.submit(ClipRequest(videos[0], TWO_FPS, side=28)).result()
        bad = pool.submit(ClipRequest(videos[0] + ".absent", TWO_FPS, side=28)).result()
    assert isinstance(again, ClipFeatures) and torch.equal(again.features, seen) and isinstance(bad, BadVideo)
    assert again.grid_thw == (2, 4, 4) and again.seconds_per_grid == clip.seconds_per_grid
    assert again.times_s == clip.times_s and (features.files.hits, features.files.misses) == (1, 1)


def test_an_order_that_nobody_waits_for_is_not_carried_out(videos: list[str]) -> None:
    with ClipPool(1) as pool:
        first, second, third = (pool.submit(ClipRequest(videos[k % 2], TWO_FPS, side=28)) for k in range(3))
        assert second.cancel()
        assert isinstance(first.result(), VideoClip) and isinstance(third.result(), VideoClip)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGXCPU, signal.SIGRTMIN + 1])
def test_a_worker_ended_by_others_costs_no_video(ending: int, videos: list[str]) -> None:
    with ClipPool(1) as pool:
        pool.submit(ClipRequest(videos[0], TWO_FPS, side=28)).result()
        (child,) = children()
        child.send_signal(ending)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # its end is the pool's to collect
        assert isinstance(pool.submit(ClipRequest(videos[0], TWO_FPS, side=28)).result(), VideoClip)
        assert (pool.num_killed, pool.num_died) == (0, 1)


def test_a_worker_is_deaf_to_what_slurm_tells_a_whole_step(videos: list[str]) -> None:
    with ClipPool(1) as pool:
        pool.submit(ClipRequest(videos[0], TWO_FPS, side=28)).result()
        for warning in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT):
            children()[0].send_signal(warning)
        assert isinstance(pool.submit(ClipRequest(videos[1], TWO_FPS, side=28)).result(), VideoClip)
        assert (pool.num_killed, pool.num_died) == (0, 0)


@pytest.mark.usefixtures("doubles")
def test_a_file_on_which_the_system_kills_twice_is_bad(videos: list[str]) -> None:
    """As for want of memory: tried once more in a fresh worker, and the reason says what it may be."""
    path = Path(videos[0]).with_name("hogs.mp4")
    path.write_bytes(b"x")
    with ClipPool(1) as pool:
        bad, probed = pool.submit(ClipRequest(str(path), TWO_FPS, side=28)).result(), pool.probe(str(path)).result()
        assert pool.num_died == 4 and isinstance(
            pool.submit(ClipRequest(videos[1], TWO_FPS, side=28)).result(), VideoClip
        )
    assert isinstance(bad, BadVideo) and not probed.ok
    assert (
        bad.reason == probed.error == "its worker was killed by signal 9 (SIGKILL), also when tried again: "
        "out of memory?"
    )


@pytest.mark.usefixtures("doubles")
@pytest.mark.parametrize(
    ("name", "reason", "num_died"),
    [
        ("raises", "reading it raised KeyError: 'nobody foresaw this'", 0),
        ("leaves", "its decoder died (exit status 3)", 2),
    ],
)
def test_what_a_worker_raises_is_no_kill(
    name: str, reason: str, num_died: int, videos: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """The last resort gives its words as the reason; and a process that is about to end is not killed meanwhile."""
    path = Path(videos[0]).rename(Path(videos[0]).with_name(f"{name}.mp4"))
    with ClipPool(1) as pool:
        bad, probed = pool.submit(ClipRequest(str(path), TWO_FPS, side=28)).result(), pool.probe(str(path)).result()
        good = pool.submit(ClipRequest(videos[1], TWO_FPS, side=28)).result()
        assert (pool.num_killed, pool.num_died) == (0, num_died)
    assert isinstance(bad, BadVideo) and not bad.opens and same(good, read_clip(videos[1], TWO_FPS, side=28))
    assert bad.reason == probed.error == reason
    assert name == "leaves" or "Traceback" in capfd.readouterr().err


def test_a_pool_that_nobody_holds_ends(videos: list[str]) -> None:
    pool = ClipPool(1)
    pool.submit(ClipRequest(videos[0], TWO_FPS, side=28)).result()
    (child,) = children()
    del pool
    child.wait(10)


@pytest.mark.usefixtures("doubles")
def test_workers_die_with_their_parent_even_if_they_hang(damaged: dict[str, str]) -> None:
    program = f"""
import time, psutil
from tvg_lightning.data.workers.pool import ClipPool
from tvg_lightning.data.workers.worker import ClipRequest
from tvg_lightning.data.video import FrameSettings
pool = ClipPool(1)
pool.submit(ClipRequest({damaged["absent"]!r}, FrameSettings(), side=28)).result()
pool.submit(ClipRequest({damaged["hangs"]!r}, FrameSettings(), side=28))
time.sleep(0.3)
print(psutil.Process().children()[0].pid, flush=True)
time.sleep(60)
"""
    path = os.pathsep.join(filter(None, sys.path))
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until = time.monotonic() + 10
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
        time.sleep(0.05)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def test_whatever_goes_wrong_is_raised_where_the_clip_is_asked_for(
    videos: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice, for the thread lives on."""

    def broken(*_: object) -> None:
        raise OverflowError("timeout doesn't fit into C timeval")

    monkeypatch.setattr(pool_module, "_result", broken)
    with ClipPool(1) as pool:
        for path in videos:
            with pytest.raises(OverflowError, match="timeval"):
                pool.submit(ClipRequest(path, TWO_FPS, side=28)).result(timeout=20)


def test_an_answer_half_heard_is_not_taken_for_the_next(videos: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> None:
        raise MemoryError

    with ClipPool(1) as pool:
        with monkeypatch.context() as patch, pytest.raises(MemoryError):
            patch.setattr(handle, "_answer", no_room)
            pool.submit(ClipRequest(videos[0], TWO_FPS, side=28)).result()
        assert same(
            pool.submit(ClipRequest(videos[1], TWO_FPS, side=28)).result(), read_clip(videos[1], TWO_FPS, side=28)
        )
        assert (pool.num_killed, pool.num_died) == (0, 0)


def test_one_that_does_not_end_keeps_no_other_alive() -> None:
    said: list[str] = []
    with ClipPool(2) as pool:
        for worker in pool._workers:
            worker._process = Undying(said)  # type: ignore[assignment]
    assert said == ["kill", "kill", "wait", "wait"]


def test_a_worker_that_cannot_start_is_no_bad_video(
    videos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('no torch today')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with ClipPool(1) as pool, pytest.raises(WorkerStartError, match="could not be started"):
        pool.submit(ClipRequest(videos[0], TWO_FPS, side=28)).result()
    assert "no torch today" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("kwargs", "key"),
    [({"num_workers": -1}, "num_workers"), *(({"timeout_s": s}, "timeout_s") for s in (0.0, 86_401.0, inf, nan))],
)
def test_settings_name_the_key_that_is_wrong(kwargs: dict[str, float], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        ClipPool(**{"num_workers": 1, **kwargs})  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.usefixtures("doubles")
def test_two_runs_over_damaged_files_show_the_same(videos: list[str], damaged: dict[str, str], tmp_path: Path) -> None:
    """Ten files, four of them bad; the second run, resumed, meets none of them again."""
    good = [videos[k % 2] for k in range(6)]
    files = [damaged["hangs"], *good[:2], damaged["crashes"], *good[2:4], damaged["cut"], damaged["absent"], *good[4:]]
    order = [7, 3, 9, 0, 1, 8, 2, 6, 4, 5]

    def run(log: Path) -> tuple[list[int], int]:
        bad, taken = BadVideos(log, files, max_share=0.7), []  # 4 of 6 files
        with ClipPool(1, timeout_s=3.0) as pool:
            for place, index in enumerate(order):
                for candidate in (index, *replacements(order, place)):
                    if bad.find(files[candidate]):
                        continue
                    result = pool.submit(ClipRequest(files[candidate], TWO_FPS, side=28)).result()
                    if isinstance(result, VideoClip):
                        bad.note_good()
                        taken.append(candidate)
                        break
                    assert isinstance(result, BadVideo)
                    bad.note(result, place)
            return taken, pool.num_killed + pool.num_died

    first, fresh, resumed = run(tmp_path / "1.jsonl"), run(tmp_path / "2.jsonl"), run(tmp_path / "1.jsonl")
    assert first == fresh == ([9, 9, 9, 1, 1, 8, 2, 4, 4, 5], 2)
    assert resumed == (first[0], 0)
