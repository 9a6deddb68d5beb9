import os
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from tests.data.conftest import EACH_CHANGED, alter_in_place
from tvg_lightning.data import frame_cache
from tvg_lightning.data.frame_cache import FrameCache
from tvg_lightning.data.video import VideoClip, VideoError, VideoSampling, read_clip
from tvg_lightning.schema import Span

TWO_FPS = VideoSampling()


@pytest.fixture
def video(write_video: Callable[..., Path]) -> Path:
    return write_video("a.mp4", [k / 10 for k in range(40)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "clips"


def same(a: VideoClip, b: VideoClip) -> bool:
    return torch.equal(a.frames, b.frames) and (a.times_s, a.fps, a.backend) == (b.times_s, b.fps, b.backend)


def test_the_second_request_is_not_decoded(video: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = FrameCache(folder)
    first = cache.get_or_read(video, TWO_FPS, Span(0.7, 2.3))
    monkeypatch.setattr(frame_cache, "read_clip", None)  # whoever decodes now fails
    again = FrameCache(folder).get_or_read(str(video), TWO_FPS, Span(0.7, 2.3))
    assert same(first, again) and (cache.hits, cache.misses) == (0, 1)
    assert same(first, cache.get_or_read(video, TWO_FPS, Span(0.7, 2.3))) and (cache.hits, cache.misses) == (1, 1)
    assert [file.suffix for file in folder.iterdir()] == [".safetensors"]


def test_no_folder_keeps_nothing(video: Path, tmp_path: Path) -> None:
    cache = FrameCache(None)
    assert same(cache.get_or_read(video, TWO_FPS), read_clip(video, TWO_FPS))
    assert sorted(tmp_path.iterdir()) == [video]


def test_the_key_changes_with_whatever_changes_the_clip(video: Path, folder: Path) -> None:
    cache = FrameCache(folder)
    keys = [cache.key(video, sampling, None) for sampling in (TWO_FPS, *EACH_CHANGED)]
    assert len(EACH_CHANGED) == len(fields(VideoSampling))
    keys += [cache.key(video, TWO_FPS, Span(0.0, 1.0)), cache.key(video, TWO_FPS, Span(0.0, 2.0))]
    assert len(set(keys)) == len(keys) and None not in keys
    assert cache.key(video.parent / "absent.mp4", TWO_FPS, None) is None
    assert FrameCache(None).key(video, TWO_FPS, None) is None


def test_the_key_is_the_content_not_the_name(video: Path, tmp_path: Path, folder: Path) -> None:
    cache = FrameCache(folder)
    key = cache.key(video, TWO_FPS, None)
    assert cache.key(shutil.copy2(video, tmp_path / "b.mp4"), TWO_FPS, None) == key
    alter_in_place(video)
    assert cache.key(video, TWO_FPS, None) != key


@pytest.mark.parametrize("damage", ["torn", "empty", "altered", "other"])
def test_a_damaged_entry_is_read_again(damage: str, video: Path, folder: Path) -> None:
    cache = FrameCache(folder)
    clip = cache.get_or_read(video, TWO_FPS)
    (entry,) = folder.iterdir()
    content = bytearray(entry.read_bytes())
    content[-1000] ^= 255
    entry.write_bytes({"torn": content[:-500], "empty": b"", "altered": bytes(content), "other": b"hello" * 99}[damage])
    assert same(cache.get_or_read(video, TWO_FPS), clip) and (cache.hits, cache.misses) == (0, 2)
    assert same(cache.get_or_read(video, TWO_FPS), clip) and (cache.hits, cache.misses) == (1, 2)


def test_the_longest_unused_goes_first(video: Path, folder: Path) -> None:
    segments = [Span(0.0, 1.0), Span(1.0, 2.0), Span(2.0, 3.0)]  # two frames each: entries of one size
    FrameCache(folder).get_or_read(video, TWO_FPS, segments[0])
    size = next(folder.iterdir()).stat().st_size
    cache = FrameCache(folder, max_bytes=2 * size + 200)
    cache.get_or_read(video, TWO_FPS, segments[1])
    for age, segment in enumerate(segments[:2]):  # file times are too coarse to tell them apart
        os.utime(folder / f"{cache.key(video, TWO_FPS, segment)}.safetensors", (age + 1, age + 1))
    cache.get_or_read(video, TWO_FPS, segments[0])  # used, so now the younger one
    cache.get_or_read(video, TWO_FPS, segments[2])
    left = {file.stem for file in folder.iterdir()}
    assert left == {cache.key(video, TWO_FPS, segment) for segment in (segments[0], segments[2])}


def test_a_clip_above_the_bound_is_not_kept(video: Path, folder: Path) -> None:
    cache = FrameCache(folder, max_bytes=1000)
    cache.get_or_read(video, TWO_FPS)
    assert not folder.exists()
    with pytest.raises(ValueError, match=r"cache\.max_bytes"):
        FrameCache(folder, max_bytes=0)


def test_parts_of_dead_writers_are_removed(video: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, mtime in (("dead.part", 0), ("alive.part", None)):
        (folder / name).write_bytes(b"x")
        if mtime is not None:
            os.utime(folder / name, (mtime, mtime))
    FrameCache(folder).get_or_read(video, TWO_FPS)
    assert {file.suffix for file in folder.iterdir()} == {".safetensors", ".part"}
    assert not (folder / "dead.part").exists()


def test_an_unreadable_file_is_an_error_every_time(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "text.mp4").write_text("hello")
    cache = FrameCache(folder)
    for name in ("text.mp4", "absent.mp4"):
        with pytest.raises(VideoError, match=name):
            cache.get_or_read(tmp_path / name, TWO_FPS)
    assert not folder.exists()
