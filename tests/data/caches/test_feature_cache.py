from pathlib import Path

import pytest
import torch

from tests.data.conftest import EACH_CHANGED
from tvg_lightning.data.caches.feature_cache import ClipFeatures, FeatureCache
from tvg_lightning.data.video import FrameSettings
from tvg_lightning.schema import Span

TWO_FPS = FrameSettings()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_features_come_back_to_the_last_bit(dtype: torch.dtype, tmp_path: Path) -> None:
    clip = ClipFeatures(torch.randn(8, 3).to(dtype), (2, 4, 4), (0.0, 0.1, 0.2, 1 / 3), 2.0 / 3)
    cache = FeatureCache(tmp_path / "features", "tower", dtype)
    key = cache.key("digest", TWO_FPS, None)
    assert cache.find(key) is None
    cache.store(key, clip)
    again = FeatureCache(tmp_path / "features", "tower", dtype).find(key)
    assert again is not None and torch.equal(again.features, clip.features) and again.features.dtype == dtype
    assert (again.grid_thw, again.times_s, again.fps) == (clip.grid_thw, clip.times_s, clip.fps)
    assert cache.find(key) is not None and (cache.hits, cache.misses) == (1, 1)


def test_the_key_changes_with_whatever_changes_the_features(tmp_path: Path) -> None:
    one = FeatureCache(tmp_path, "tower", torch.float32)
    keys = [one.key("digest", frames, None) for frames in (TWO_FPS, *EACH_CHANGED)]
    keys += [one.key("digest", TWO_FPS, segment) for segment in (Span(0.0, 1.0), Span(0.0, 2.0), Span(1.0, 2.0))]
    keys.append(FeatureCache(tmp_path, "other tower", torch.float32).key("digest", TWO_FPS, None))
    keys.append(FeatureCache(tmp_path, "tower", torch.bfloat16).key("digest", TWO_FPS, None))
    keys.append(one.key("other", TWO_FPS, None))
    assert len(set(keys)) == len(keys)


def test_the_bound_holds(tmp_path: Path) -> None:
    clip = ClipFeatures(torch.zeros(1000, 1), (1, 2, 2), (0.0, 0.1), 10.0)  # 4 kB each
    cache = FeatureCache(tmp_path / "features", "tower", torch.float32, max_bytes=10_000)
    for k in range(5):
        cache.store(str(k), clip)
    assert len(list((tmp_path / "features").iterdir())) == 2
