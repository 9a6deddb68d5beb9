"""Features come back as they were under keys that tell them apart; runs decode and encode each clip once."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import train
from tests.data.conftest import EACH_CHANGED
from tests.doubles import losses
from tests.runs import changed, grpo, stage, write_config
from tvg_lightning.data.caches.feature_cache import ClipFeatures, FeatureCache
from tvg_lightning.data.video import FrameSettings, VideoClip, clip_of
from tvg_lightning.data.workers import worker
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.schema import Span

TWO_FPS = FrameSettings()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_features_come_back_to_the_last_bit(dtype: torch.dtype, tmp_path: Path) -> None:
    clip = ClipFeatures(torch.randn(8, 3).to(dtype), (2, 4, 4), (0.0, 0.1, 0.2, 1 / 3), 2.0 / 3)
    cache = FeatureCache(tmp_path / "features", "tower", dtype)
    key = cache.key("digest", TWO_FPS, None, 28)
    assert cache.find(key) is None
    cache.store(key, clip)
    again = FeatureCache(tmp_path / "features", "tower", dtype).find(key)
    assert again is not None and torch.equal(again.features, clip.features) and again.features.dtype == dtype
    assert (again.grid_thw, again.times_s, again.fps) == (clip.grid_thw, clip.times_s, clip.fps)
    assert cache.find(key) is not None and (cache.files.hits, cache.files.misses) == (1, 1)


def test_the_key_changes_with_whatever_changes_the_features(tmp_path: Path) -> None:
    one = FeatureCache(tmp_path, "tower", torch.float32)
    keys = [one.key("digest", frames, None, 28) for frames in (TWO_FPS, *EACH_CHANGED)]
    keys += [one.key("digest", TWO_FPS, segment, 28) for segment in (Span(0.0, 1.0), Span(0.0, 2.0), Span(1.0, 2.0))]
    keys.append(FeatureCache(tmp_path, "other tower", torch.float32).key("digest", TWO_FPS, None, 28))
    keys.append(FeatureCache(tmp_path, "tower", torch.bfloat16).key("digest", TWO_FPS, None, 28))
    keys.append(one.key("other", TWO_FPS, None, 28))
    keys.append(one.key("digest", TWO_FPS, None, 32))
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("side", [28, 32])
def test_what_a_clip_keeps_has_the_grid_that_its_policy_sees(side: int, tmp_path: Path) -> None:
    """Two pairs of frames, 3 tokens high and 1 wide, of 2 x 2 patches each."""
    clip = VideoClip(torch.zeros(4, 3 * side, side, 3, dtype=torch.uint8), (0.0, 0.5, 1.0, 1.5), 2.0, "by hand")
    cache = FeatureCache(tmp_path / "features", "tower", torch.float32)
    keep = cache.keeping("k", clip, side).keep
    assert keep is not None
    keep(torch.ones(6, 5))
    found = cache.find("k")
    assert found is not None and found.grid_thw == (2, 6, 2) and found.features.shape == (6, 5)


def test_the_bound_holds(tmp_path: Path) -> None:
    clip = ClipFeatures(torch.zeros(1000, 1), (1, 2, 2), (0.0, 0.1), 10.0)  # 4 kB each
    cache = FeatureCache(tmp_path / "features", "tower", torch.float32, max_bytes=10_000)
    for k in range(5):
        cache.store(str(k), clip)
    assert len(list((tmp_path / "features").iterdir())) == 2


# ---- whole runs


class Counts:
    """How many clips were decoded, and how many the tower encoded."""

    decoded = encoded = 0

    def taken(self) -> tuple[int, int]:
        counts = self.decoded, self.encoded
        self.decoded = self.encoded = 0
        return counts


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    counts, compute = Counts(), PolicyBackbone._compute_features

    def counting_clip_of(*args: Any) -> VideoClip:
        counts.decoded += 1
        return clip_of(*args)

    def counting_compute_features(policy: PolicyBackbone, prompts: Sequence[EncodedPrompt]) -> list[Tensor]:
        counts.encoded += len(prompts)
        return compute(policy, prompts)

    monkeypatch.setattr(worker, "clip_of", counting_clip_of)
    monkeypatch.setattr(PolicyBackbone, "_compute_features", counting_compute_features)
    return counts


def fit(folder: Path, shapes: Path, feature_cache: Path | None, tuning: str, epochs: int = 2, **policy: Any) -> Any:
    """GRPO over the twelve samples in batches of three, then one epoch of SFT; the losses."""
    stages = [
        {**stage("explore", 4 * epochs, **grpo(generation={"max_new_tokens": 8})), "batch_size": 3},
        {**stage("imitate", 4, sft=True), "batch_size": 3},
    ]
    path = write_config(folder, shapes, stages=stages)
    with changed(path) as config:
        config["data"] |= {"cache": None, "feature_cache": None if feature_cache is None else str(feature_cache)}
        config["model"]["init_args"]["policy"] |= policy
    train.main(["fit", "--config", str(path), "--tuning", tuning])
    return losses(folder / "losses.jsonl")


@pytest.mark.slow
@pytest.mark.parametrize("tuning", ["full", "lora", "qlora"])
def test_from_the_second_epoch_on_nothing_is_decoded_or_encoded(
    tuning: str, counts: Counts, shapes: Path, tmp_path: Path, tolerances: Any
) -> None:
    features = tmp_path / "features"
    cold = fit(tmp_path / "cold", shapes, features, tuning)
    # six videos to train on, one to evaluate on, two segments of it; and two that a batch of the first epoch has twice
    assert counts.taken() == (6 + 3 + 2,) * 2
    assert fit(tmp_path / "warm", shapes, features, tuning) == cold, "to the last bit"
    assert counts.taken() == (0, 0)
    if tuning == "full":
        without = fit(tmp_path / "none", shapes, None, tuning, epochs=1)
        assert counts.taken() == (3 * 4 + 2 * 12,) * 2, "three evaluations of four questions, two epochs"
        assert [row[2] for row in without[:4]] == pytest.approx([row[2] for row in cold[:4]], abs=tolerances.logp)


@pytest.mark.slow
def test_two_epochs_are_the_same_without_the_cache(
    counts: Counts, shapes: Path, tmp_path: Path, tolerances: Any
) -> None:
    features = tmp_path / "features"
    cold = fit(tmp_path / "cold", shapes, features, "full")
    of_two_epochs = counts.taken()
    shutil.rmtree(features)
    one_epoch = fit(tmp_path / "one", shapes, features, "full", epochs=1)
    assert one_epoch[:4] == cold[:4] and counts.taken() == of_two_epochs
    without = fit(tmp_path / "none", shapes, None, "full")
    assert counts.taken() == (3 * 4 + 3 * 12,) * 2, "three evaluations of four questions, three epochs"
    assert [row[2] for row in without] == pytest.approx([row[2] for row in cold], abs=tolerances.logp)


def test_a_tower_that_is_trained_is_refused_before_any_weight_loads(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tvg_lightning.modules.grounding.PolicyBackbone", None)
    with pytest.raises(ValueError, match=r"data\.feature_cache: .*train_merger"):
        fit(tmp_path, shapes, tmp_path / "features", "full", train_merger=True)
