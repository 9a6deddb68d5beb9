"""Settings of reading videos, and the pool and caches that follow from them."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from tvg_lightning.data.caches.feature_cache import FeatureCache
from tvg_lightning.data.caches.frame_cache import FrameCache
from tvg_lightning.data.workers.pool import ClipPool, check_pool


@dataclass(frozen=True)
class ReadingSettings:
    """Keys of ``data``; TVGDataModule says what they mean."""

    num_workers: int = 0
    prefetch: int = 2
    video_timeout_s: float = 60.0
    max_bad_share: float = 0.5
    cache: str | None = None
    cache_max_gb: float = 50.0
    feature_cache: str | None = None

    def __post_init__(self) -> None:
        check_pool(self.num_workers, self.video_timeout_s)
        if self.prefetch < 0:
            raise ValueError(f"data.prefetch must be at least 0, got {self.prefetch}")
        if not (math.isfinite(self.cache_max_gb) and self.cache_max_gb > 0):
            raise ValueError(f"data.cache_max_gb must be a positive number, got {self.cache_max_gb}")
        if not 0 <= self.max_bad_share <= 1:
            raise ValueError(f"data.max_bad_share must be between 0 and 1, got {self.max_bad_share}")
        folders = {key: _folder(key, self.__dict__[key]) for key in ("cache", "feature_cache")}
        if folders["cache"] is not None and folders["cache"] == folders["feature_cache"]:
            raise ValueError(f"data.feature_cache must be another folder than data.cache, {self.cache}")

    def check_feature_cache(self, features_change: bool, is_sharded: bool) -> None:
        """Refuse a cache for features that change with training, or that all processes must compute together."""
        if self.feature_cache is None:
            return
        if features_change:
            raise ValueError(
                "data.feature_cache: the features of a vision tower or merger that is trained cannot be kept; set it "
                "to null, or policy.train_vision_tower and policy.train_merger to false"
            )
        if is_sharded:
            raise ValueError(
                "data.feature_cache: the processes of a sharded policy must encode every video together, and cannot "
                "skip those that one of them knows; set it to null, or take strategy ddp"
            )

    def pool(self, features: FeatureCache | None) -> ClipPool:
        """The processes that read videos, with the caches."""
        frames = FrameCache(_folder("cache", self.cache), self._cache_bytes)
        return ClipPool(self.num_workers, self.video_timeout_s, frames, features)

    def features(self, tower: str, dtype: torch.dtype, device: torch.device, precision: str) -> FeatureCache:
        """The cache of the features of a tower, known by the digest of its weights.

        Its names hold all that moves the last bits of what a tower computes.
        """
        folder = _folder("feature_cache", self.feature_cache)
        assert folder is not None
        chip = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        return FeatureCache(folder, " ".join([tower, chip, precision, torch.__version__]), dtype, self._cache_bytes)

    @property
    def _cache_bytes(self) -> int:
        return max(1, int(self.cache_max_gb * 2**30))


def _folder(key: str, given: str | None) -> Path | None:
    """The folder of a cache, which need not be there yet, in its one spelling; "~" is the user's home."""
    if given is None:
        return None
    if not given:
        raise ValueError(f"data.{key} is empty: give a folder, or null for none")
    folder = Path(os.path.realpath(os.path.expanduser(given)))
    if os.path.lexists(folder) and not folder.is_dir():
        raise ValueError(f"data.{key} is {given}, which is a file and no folder")
    return folder
