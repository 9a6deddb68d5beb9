"""Whole runs with a cache of features: what was seen once is neither decoded nor seen again."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch import Tensor

import train
from tests.doubles import losses
from tests.test_train import grpo, stage, write_config
from tvg_lightning.data.video import VideoClip, clip_of
from tvg_lightning.data.workers import worker
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.rows import EncodedPrompt


class Counts:
    """How many clips were decoded, and how many the tower saw."""

    decoded = seen = 0

    def taken(self) -> tuple[int, int]:
        counts = self.decoded, self.seen
        self.decoded = self.seen = 0
        return counts


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    counts, compute = Counts(), PolicyBackbone._compute_features

    def counting_clip_of(*args: Any) -> VideoClip:
        counts.decoded += 1
        return clip_of(*args)

    def counting_compute_features(policy: PolicyBackbone, prompts: Sequence[EncodedPrompt]) -> list[Tensor]:
        counts.seen += len(prompts)
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
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["data"] |= {"cache": None, "feature_cache": None if feature_cache is None else str(feature_cache)}
    config["model"]["init_args"]["policy"] |= policy
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    train.main(["fit", "--config", str(path), "--tuning", tuning])
    return losses(folder / "losses.jsonl")


@pytest.mark.parametrize("tuning", ["full", "lora", "qlora"])
def test_from_the_second_epoch_on_nothing_is_decoded_or_seen(
    tuning: str, counts: Counts, shapes: Path, tmp_path: Path, tolerances: Any
) -> None:
    features = tmp_path / "features"
    cold = fit(tmp_path / "cold", shapes, features, tuning)
    of_two_epochs = counts.taken()
    assert fit(tmp_path / "warm", shapes, features, tuning) == cold, "to the last bit"
    assert counts.taken() == (0, 0)
    if tuning == "full":
        shutil.rmtree(features)
        one_epoch = fit(tmp_path / "one", shapes, features, tuning, epochs=1)
        assert one_epoch[:4] == cold[:4] and counts.taken() == of_two_epochs
        without = fit(tmp_path / "none", shapes, None, tuning)
        assert counts.taken() == (3 * 4 + 3 * 12,) * 2, "three evaluations of four questions, three epochs"
        assert [row[2] for row in without] == pytest.approx([row[2] for row in cold], abs=tolerances.logp)


def test_a_tower_that_is_trained_is_refused_before_any_weight_loads(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tvg_lightning.modules.grounding.PolicyBackbone", None)
    with pytest.raises(ValueError, match=r"data\.feature_cache: .*train_merger"):
        fit(tmp_path, shapes, tmp_path / "features", "full", train_merger=True)
