import os
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from tests.data.conftest import EACH_CHANGED
from tvg_lightning.data.caches.frame_cache import FrameCache
from tvg_lightning.data.video import FrameSettings, VideoClip
from tvg_lightning.schema import Span

TWO_FPS = FrameSettings()
CLIP = VideoClip(torch.arange(4704, dtype=torch.int64).byte().reshape(2, 28, 28, 3), (0.0, 1 / 3), 3.0, "by hand")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "clips"


def same(a: VideoClip | None, b: VideoClip) -> bool:
    assert a is not None
    return torch.equal(a.frames, b.frames) and (a.times_s, a.fps, a.backend) == (b.times_s, b.fps, b.backend)


def test_a_clip_comes_back_to_the_last_bit(folder: Path) -> None:
    cache = FrameCache(folder)
    key = cache.key("digest", TWO_FPS, Span(0.7, 2.3), 28)
    assert cache.find(key) is None
    cache.store(key, CLIP)
    assert same(FrameCache(folder).find(key), CLIP)
    assert same(cache.find(key), CLIP) and (cache.files.hits, cache.files.misses) == (1, 1)
    assert [file.suffix for file in folder.iterdir()] == [".safetensors"]


def test_no_folder_keeps_nothing(tmp_path: Path) -> None:
    cache = FrameCache(None)
    key = cache.key("digest", TWO_FPS, None, 28)
    cache.store(key, CLIP)
    assert key is None and cache.find(key) is None and not list(tmp_path.iterdir())


def test_the_key_changes_with_whatever_changes_the_clip(folder: Path) -> None:
    cache = FrameCache(folder)
    keys = [cache.key("digest", frames, None, 28) for frames in (TWO_FPS, *EACH_CHANGED)]
    assert len(EACH_CHANGED) == len(fields(FrameSettings))
    keys += [cache.key("digest", TWO_FPS, Span(0.0, 1.0), 28), cache.key("digest", TWO_FPS, Span(0.0, 2.0), 28)]
    keys.append(cache.key("other", TWO_FPS, None, 28))
    keys.append(cache.key("digest", TWO_FPS, None, 32))
    assert len(set(keys)) == len(keys) and None not in keys


@pytest.mark.parametrize("damage", ["torn", "empty", "altered", "other"])
def test_a_damaged_entry_is_read_again(damage: str, folder: Path) -> None:
    cache = FrameCache(folder)
    cache.store("k", CLIP)
    (entry,) = folder.iterdir()
    content = bytearray(entry.read_bytes())
    content[-1000] ^= 255
    entry.write_bytes({"torn": content[:-500], "empty": b"", "altered": bytes(content), "other": b"hello" * 99}[damage])
    assert cache.find("k") is None and (cache.files.hits, cache.files.misses) == (0, 1)
    cache.store("k", CLIP)
    assert same(cache.find("k"), CLIP) and (cache.files.hits, cache.files.misses) == (1, 1)


def test_the_longest_unused_goes_first(folder: Path) -> None:
    FrameCache(folder).store("0", CLIP)
    size = next(folder.iterdir()).stat().st_size
    cache = FrameCache(folder, max_bytes=2 * size + 200)
    cache.store("1", CLIP)
    for age in range(2):  # file times are too coarse to tell them apart
        os.utime(folder / f"{age}.safetensors", (age + 1, age + 1))
    cache.find("0")  # used, so now the younger one
    cache.store("2", CLIP)
    assert {file.stem for file in folder.iterdir()} == {"0", "2"}


def test_a_clip_above_the_bound_is_not_kept(folder: Path) -> None:
    FrameCache(folder, max_bytes=1000).store("k", CLIP)
    assert not folder.exists()
    with pytest.raises(ValueError, match="max_bytes must be positive"):
        FrameCache(folder, max_bytes=0)


def test_parts_of_dead_writers_are_removed(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, mtime in (("dead.part", 0), ("alive.part", None)):
        (folder / name).write_bytes(b"x")
        if mtime is not None:
            os.utime(folder / name, (mtime, mtime))
    FrameCache(folder).store("k", CLIP)
    assert {file.name for file in folder.iterdir()} == {"k.safetensors", "alive.part"}
