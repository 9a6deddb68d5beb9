"""The whole command in a few steps: what it writes can be loaded and asked."""

import json
from pathlib import Path

import pytest

from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.tools.pretrain_tiny import PretrainSettings, pretrain


@pytest.mark.parametrize(
    ("family", "clock"), [pytest.param("qwen2_5_vl", True, marks=pytest.mark.slow), ("qwen3_vl", False)]
)
def test_the_command_in_a_few_steps(family: str, clock: bool, tmp_path: Path) -> None:
    settings = PretrainSettings(
        1, 1, 1, 1, 1, batch_size=2, num_scenes=4, num_unseen=2, num_workers=1, clock=clock, family=family
    )
    pretrain(tmp_path / "base", settings)
    log = json.loads((tmp_path / "base" / "pretrain_log.json").read_text(encoding="utf-8"))["log"]
    assert [entry["step"] for entry in log if "step" in entry] == [1] * 4
    assert all(0 <= iou <= 1 for entry in log if "step" in entry for ious in entry["told"].values() for iou in ious)
    policy = PolicyBackbone(PolicySettings(checkpoint=str(tmp_path / "base")))
    assert policy.side == settings.side
    with pytest.raises(ValueError, match="holds a model already"):
        pretrain(tmp_path / "base", settings)
    assert 1.0e6 < sum(p.numel() for p in policy.parameters()) < 5.0e6


def test_too_few_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="--answer_steps must be at least 1"):
        PretrainSettings(answer_steps=0)
    with pytest.raises(ValueError, match="--family must be one of qwen2_5_vl, qwen3_vl, not llava"):
        PretrainSettings(family="llava")
