"""Features of clips on disk: a frozen vision tower computes the same ones in every epoch.

A hit needs neither the frames nor the tower: all that a prompt needs of them is kept.
"""

import logging
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from tvg_lightning.data.caches.tensor_store import TensorStore, name_of
from tvg_lightning.data.frame_times import first_pair_s
from tvg_lightning.data.video import TEMPORAL_PATCH, FrameSettings, VideoClip
from tvg_lightning.schema import Span

log = logging.getLogger(__name__)

_VERSION = 3  # raise it when the same settings begin to give other features
_MERGE = 2  # patches along a token's side, in every family


@dataclass(frozen=True, slots=True, eq=False)
class ClipFeatures:
    """A clip as the language model sees it: ``features`` (N, width), one row a video token.

    ``grid_thw`` counts pairs of frames and patches, as ``patchify`` gives it; times and rate are the clip's.
    """

    features: Tensor
    grid_thw: tuple[int, int, int]
    times_s: tuple[float, ...]
    fps: float

    def __post_init__(self) -> None:
        assert self.features.ndim == 2 and len(self.times_s) == TEMPORAL_PATCH * self.grid_thw[0]

    @property
    def seconds_per_grid(self) -> float:
        """Seconds from one pair of frames to the next, as of the clip."""
        return TEMPORAL_PATCH / self.fps

    @property
    def start_s(self) -> float:
        """Seconds from time zero to the first pair, as of the clip."""
        return first_pair_s(self.times_s, self.seconds_per_grid)


class FeatureCache:
    """Features of clips under one state of the vision tower; see TensorStore for what is safe.

    Only for a tower and merger that are not trained: ``tower``, a digest of all that decides what they compute, and
    the dtype are part of every name, so that another tower finds nothing of this one's.
    """

    def __init__(self, folder: Path, tower: str, dtype: torch.dtype, max_bytes: int = 50 * 2**30) -> None:
        self.files = TensorStore(folder, max_bytes)
        self._tower = (_VERSION, tower, str(dtype))

    def key(self, digest: str, settings: FrameSettings, segment: Span | None, side: int) -> str:
        """A name that changes with the file's bytes, the frames, the segment, a token's side, the tower, the dtype."""
        return name_of(*self._tower, digest, asdict(settings), segment, side)

    def find(self, key: str) -> ClipFeatures | None:
        """The features stored under a key, on the CPU in their dtype, if there are any."""
        found = self.files.find(key)
        if found is None:
            return None
        tensors, about = found
        rows, height, width = tensors["grid_thw"].tolist()
        times_s = tuple(tensors["times_s"].tolist())
        return ClipFeatures(tensors["features"], (rows, height, width), times_s, float.fromhex(about["fps"]))

    def keeping(self, key: str, clip: VideoClip, side: int) -> VideoClip:
        """The clip, which will store its features under a key when they are known; ``side``: of a token, in pixels."""
        frames, height, width, _ = clip.frames.shape
        grid_thw = (frames // TEMPORAL_PATCH, _MERGE * height // side, _MERGE * width // side)
        return replace(clip, keep=partial(self._keep, key, grid_thw, clip.times_s, clip.fps))

    def _keep(
        self, key: str, grid_thw: tuple[int, int, int], times_s: tuple[float, ...], fps: float, features: Tensor
    ) -> None:
        try:
            self.store(key, ClipFeatures(features, grid_thw, times_s, fps))
        except OSError as error:  # a full disk must not end the run: the tower will encode the clip again
            log.warning("the feature cache could not keep a clip: %s", error)

    def store(self, key: str, clip: ClipFeatures) -> None:
        """Keep the features of a clip."""
        tensors = {
            "features": clip.features.detach().cpu().contiguous(),
            "grid_thw": torch.tensor(clip.grid_thw),
            "times_s": torch.tensor(clip.times_s, dtype=torch.float64),
        }
        self.files.store(key, tensors, {"fps": clip.fps.hex()})
