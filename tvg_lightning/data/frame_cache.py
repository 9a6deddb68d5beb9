"""Decoded clips on disk: decoding is the slow part of an epoch, and every epoch asks for the same frames."""

import hashlib
import json
import os
import time
import zlib
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from tvg_lightning.data.video import VideoClip, VideoSampling, read_clip
from tvg_lightning.schema import Span

_LAYOUT = 1  # raise it when the same settings begin to give other frames, so that old entries are not found
_SUFFIX = ".clip"
_PART = ".part"  # being written; left behind by a process that was killed
_PART_LIFE_S = 3600.0


class FrameCache:
    """Clips kept as one file each, read back instead of decoded; the longest unused go first.

    Any number of processes may share a folder: a clip is written beside its place and moved there whole.
    What is torn or altered is dropped and decoded again. ``hits`` and ``misses`` count the requests of this
    process.
    """

    def __init__(self, folder: Path | None, max_bytes: int = 50 * 2**30) -> None:
        """``folder`` None keeps nothing; ``max_bytes`` bounds all files in it."""
        if max_bytes <= 0:
            raise ValueError(f"cache.max_bytes must be positive, got {max_bytes}; for no cache set folder to null")
        self.folder, self.max_bytes = folder, max_bytes
        self.hits = self.misses = 0

    def get_or_read(self, path: str | Path, sampling: VideoSampling, segment: Span | None = None) -> VideoClip:
        """The clip that ``read_clip`` gives, from the folder if it is there; VideoError as ``read_clip``."""
        if self.folder is None or not Path(path).is_file():
            return read_clip(path, sampling, segment)
        entry = self.folder / f"{clip_key(path, sampling, segment)}{_SUFFIX}"
        clip = _load(entry)
        if clip is not None:
            self.hits += 1
            return clip
        self.misses += 1
        clip = read_clip(path, sampling, segment)
        self._store(entry, clip)
        return clip

    def _store(self, entry: Path, clip: VideoClip) -> None:
        content = _to_bytes(clip)
        if len(content) > self.max_bytes:
            return
        entry.parent.mkdir(parents=True, exist_ok=True)
        part = entry.with_suffix(f".{uuid4().hex}{_PART}")
        part.write_bytes(content)
        os.replace(part, entry)
        self._evict(entry.parent)

    def _evict(self, folder: Path) -> None:
        """Remove the longest unused clips until the rest fits, and parts that nobody can still be writing."""
        clips: list[tuple[float, int, str]] = []
        for file in os.scandir(folder):
            try:
                stat = file.stat()
            except FileNotFoundError:  # another process evicts, too
                continue
            if file.name.endswith(_SUFFIX):
                clips.append((stat.st_mtime, stat.st_size, file.path))
            elif file.name.endswith(_PART) and time.time() - stat.st_mtime > _PART_LIFE_S:
                Path(file.path).unlink(missing_ok=True)
        excess = sum(size for _, size, _ in clips) - self.max_bytes
        for _, size, path in sorted(clips):
            if excess <= 0:
                return
            Path(path).unlink(missing_ok=True)
            excess -= size


def clip_key(path: str | Path, sampling: VideoSampling, segment: Span | None) -> str:
    """A name that changes with the file (place, size, time of change), any setting, or the segment."""
    file = Path(path).resolve()
    stat = file.stat()
    parts = [_LAYOUT, str(file), stat.st_size, stat.st_mtime_ns, asdict(sampling), segment]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _to_bytes(clip: VideoClip) -> bytes:
    times_s = torch.tensor(clip.times_s, dtype=torch.float64)
    about = {"fps": clip.fps.hex(), "backend": clip.backend, "checksum": _checksum(clip.frames, times_s)}
    tensors = {"frames": clip.frames, "times_s": times_s}
    return save(tensors, about)


def _load(entry: Path) -> VideoClip | None:
    """The clip of an entry, marked as used; None if there is none, or none that is whole."""
    try:
        with safe_open(entry, framework="pt") as file:
            frames, times_s, about = file.get_tensor("frames"), file.get_tensor("times_s"), file.metadata()
        if _checksum(frames, times_s) != about["checksum"]:
            raise ValueError("not what was stored")
        clip = VideoClip(frames, tuple(times_s.tolist()), float.fromhex(about["fps"]), about["backend"])
        os.utime(entry)
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError, KeyError, ValueError):
        entry.unlink(missing_ok=True)
        return None
    return clip


def _checksum(frames: Tensor, times_s: Tensor) -> str:
    return str(zlib.crc32(times_s.numpy().data, zlib.crc32(frames.numpy().data)))
