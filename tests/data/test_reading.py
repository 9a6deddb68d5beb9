import pytest

from tvg_lightning.data.reading import ReadingSettings
from tvg_lightning.policy.settings import PolicySettings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_workers", -1),
        ("prefetch", -1),
        ("video_timeout_s", 0.0),
        ("video_timeout_s", float("inf")),
        ("max_bad_share", 1.1),
        ("cache_max_gb", 0.0),
        ("cache", ""),
        ("feature_cache", ""),
    ],
)
def test_what_is_refused_is_named(key: str, value: float | str) -> None:
    with pytest.raises(ValueError, match=rf"^data\.{key} "):
        ReadingSettings(**{key: value})  # type: ignore[arg-type]


def test_two_caches_need_two_folders() -> None:
    with pytest.raises(ValueError, match=r"data\.feature_cache must be another folder"):
        ReadingSettings(cache="one", feature_cache="one")


@pytest.mark.parametrize("trained", ["train_vision_tower", "train_merger"])
def test_features_that_change_are_not_kept(trained: str) -> None:
    with pytest.raises(ValueError, match=rf"data\.feature_cache: .*{trained}"):
        ReadingSettings(feature_cache="f").check_policy(PolicySettings(**{trained: True}), is_sharded=False)  # type: ignore[arg-type]
    ReadingSettings().check_policy(PolicySettings(**{trained: True}), is_sharded=True)  # type: ignore[arg-type]


def test_features_that_shards_compute_together_are_not_kept() -> None:
    with pytest.raises(ValueError, match=r"data\.feature_cache: .*sharded"):
        ReadingSettings(feature_cache="f").check_policy(PolicySettings(), is_sharded=True)
    ReadingSettings(feature_cache="f").check_policy(PolicySettings(tuning="qlora"), is_sharded=False)


def test_one_bound_for_both_caches() -> None:
    pool = ReadingSettings(cache="c", cache_max_gb=0.5).pool(None)
    assert pool.cache.max_bytes == 2**29 and pool.features is None
