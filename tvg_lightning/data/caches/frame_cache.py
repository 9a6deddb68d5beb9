"""Decoded clips on disk: decoding is the slow part of an epoch, and every epoch asks for the same frames."""

from dataclasses import asdict
from pathlib import Path

import torch

from tvg_lightning.data.caches.tensor_store import TensorStore, name_of
from tvg_lightning.data.video import FrameSettings, VideoClip
from tvg_lightning.schema import Span

_VERSION = 4  # raise it when the same settings begin to give other frames, so that old entries are not found


class FrameCache:
    """Clips kept as uint8, one file each, read back instead of decoded; see TensorStore for what is safe.

    An entry is found by the bytes of the video file, whatever its name, by every setting of its frames, and by the
    side of a token.
    ``files`` counts what was found and what was not.
    """

    def __init__(self, folder: Path | None, max_bytes: int = 50 * 2**30) -> None:
        """``folder`` None keeps nothing; ``max_bytes`` bounds all files in it."""
        self.folder = folder
        self.files = TensorStore(folder or Path(), max_bytes)

    def key(self, digest: str, settings: FrameSettings, segment: Span | None, side: int) -> str | None:
        """The name of a clip in the folder, which changes with the file's bytes, any setting, the segment or the side.

        None where there is no folder.
        """
        if self.folder is None:
            return None
        return name_of(_VERSION, digest, asdict(settings), segment, side)

    def find(self, key: str | None) -> VideoClip | None:
        """The clip stored under a key, if there is one."""
        found = None if key is None else self.files.find(key)
        if found is None:
            return None
        tensors, about = found
        times_s = tuple(tensors["times_s"].tolist())
        return VideoClip(tensors["frames"], times_s, float.fromhex(about["fps"]), about["backend"])

    def store(self, key: str | None, clip: VideoClip) -> None:
        """Keep a clip; nothing without a key."""
        if key is not None:
            tensors = {"frames": clip.frames, "times_s": torch.tensor(clip.times_s, dtype=torch.float64)}
            self.files.store(key, tensors, {"fps": clip.fps.hex(), "backend": clip.backend})
