from dataclasses import replace
from pathlib import Path

import pytest
import torch

from callbacks.stage_switch import StageSwitch
from callbacks.step_checkpoint import StepCheckpoint
from tests.callbacks.conftest import Run
from tvg_lightning.modules.settings import GRPOSettings, StageSettings
from tvg_lightning.rewards.weights import RewardWeights

STAGE = StageSettings("explore", grpo=GRPOSettings(reward=RewardWeights(iou=1.0), beta=0.0), steps=6, batch_size=2)


def test_every_few_steps_but_not_at_the_end_of_a_stage(run: Run) -> None:
    done = run([STAGE, replace(STAGE, name="refine", steps=5)], [StageSwitch(), StepCheckpoint(every_n_steps=2)])
    assert done.saved == [2, 4, 8, 10, 11]  # 6 would skip the change of stage; 11 is the final one
    folder = done.folder / "checkpoints"
    assert {path.name for path in folder.iterdir()} == {"step-step=10.ckpt", "last.ckpt", "final.ckpt"}
    last, final = (torch.load(folder / name, weights_only=False) for name in ("last.ckpt", "final.ckpt"))
    assert (last["global_step"], last["stage"]["index"], last["batches_done"]) == (10, 1, 10)
    assert (final["global_step"], final["batches_done"]) == (11, 11)


def test_its_folder_can_be_chosen(run: Run, tmp_path: Path) -> None:
    done = run([STAGE], [StageSwitch(), StepCheckpoint(str(tmp_path / "elsewhere"), every_n_steps=50)])
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["final.ckpt"]
    assert not (done.folder / "checkpoints").exists()


def test_a_checkpoint_every_zero_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="every_n_steps must be at least 1, not 0"):
        StepCheckpoint(every_n_steps=0)
