from pathlib import Path

import pytest
import torch

from tvg_lightning.data.caches.feature_cache import FeatureCache
from tvg_lightning.data.reading_settings import ReadingSettings
from tvg_lightning.data.video import FrameSettings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_workers", -1),
        ("prefetch", -1),
        ("video_timeout_s", 0.0),
        ("video_timeout_s", float("inf")),
        ("video_timeout_s", float("nan")),
        ("video_timeout_s", 86_401.0),
        ("max_bad_share", 1.1),
        ("cache_max_gb", 0.0),
        ("cache", ""),
        ("feature_cache", ""),
    ],
)
def test_what_is_refused_is_named(key: str, value: float | str) -> None:
    with pytest.raises(ValueError, match=rf"^data\.{key} "):
        ReadingSettings(**{key: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("other", ["one", "./one", "two/../one", "link/one"])
def test_two_caches_need_two_folders(other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match=r"data\.feature_cache must be another folder"):
        ReadingSettings(cache="one", feature_cache=other)


@pytest.mark.parametrize("key", ["cache", "feature_cache"])
def test_a_file_is_no_folder(key: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=rf"^data\.{key} is .*file, which is a file"):
        ReadingSettings(**{key: str(tmp_path / "file")})  # type: ignore[arg-type]


def test_a_tilde_is_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with ReadingSettings(cache="~/frames").pool(None) as pool:
        assert pool.cache.folder == tmp_path / "frames"


@pytest.mark.parametrize("named", ["train_vision_tower", "train_merger"])
def test_features_that_change_are_not_kept(named: str) -> None:
    with pytest.raises(ValueError, match=rf"data\.feature_cache: .*{named}"):
        ReadingSettings(feature_cache="f").check_feature_cache(features_change=True, is_sharded=False)
    ReadingSettings().check_feature_cache(features_change=True, is_sharded=True)


def test_features_that_shards_compute_together_are_not_kept() -> None:
    with pytest.raises(ValueError, match=r"data\.feature_cache: .*sharded"):
        ReadingSettings(feature_cache="f").check_feature_cache(features_change=False, is_sharded=True)
    ReadingSettings(feature_cache="f").check_feature_cache(features_change=False, is_sharded=False)


def test_the_pool_is_as_told(tmp_path: Path) -> None:
    settings = ReadingSettings(num_workers=1, video_timeout_s=7.0, cache=str(tmp_path / "c"), cache_max_gb=0.5)
    features = FeatureCache(tmp_path / "f", "tower", torch.float32)
    with settings.pool(features) as pool:
        assert (pool.num_workers, pool.timeout_s, pool.cache.folder) == (1, 7.0, tmp_path / "c")
        assert pool.cache.files.max_bytes == 2**29 and pool.features is features
    assert ReadingSettings().pool(None).cache.folder is None


def test_features_are_those_of_one_tower_on_one_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Precision, chip and version of torch move the last bits, so they are part of the name, too."""
    settings = ReadingSettings(feature_cache=str(tmp_path / "f"), cache_max_gb=0.25)

    def key(tower: str = "tower", device: str = "cpu", precision: str = "32-true") -> str:
        cache = settings.features(tower, torch.float32, torch.device(device), precision)
        assert cache.files.max_bytes == 2**28
        return cache.key("digest", FrameSettings(), None, 28)

    keys = [key(), key("other"), key(device="meta"), key(precision="bf16-mixed")]
    assert key() == keys[0]
    monkeypatch.setattr(torch, "__version__", "1.0")
    assert len({*keys, key()}) == 5
