import errno
from dataclasses import replace
from pathlib import Path

import lightning as L
import pytest
import torch

from callbacks.stage_switch import StageSwitch
from callbacks.step_checkpoint import StepCheckpoint
from tests.callbacks.conftest import Run
from tvg_lightning.modules.settings import GRPOSettings, StageSettings
from tvg_lightning.rewards.weights import RewardWeights

STAGE = StageSettings("explore", grpo=GRPOSettings(beta=0.0), reward=RewardWeights(iou=1.0), steps=6, batch_size=2)


def test_every_few_steps_but_not_at_the_end_of_a_stage(run: Run) -> None:
    done = run([STAGE, replace(STAGE, name="refine", steps=5)], [StageSwitch(), StepCheckpoint(every_n_steps=2)])
    assert done.saved == [2, 4, 8, 10, 11]  # 6 would skip the change of stage; 11 is the final one
    folder = done.folder / "checkpoints"
    assert {path.name for path in folder.iterdir()} == {"last.ckpt", "final.ckpt"}
    last, final = (torch.load(folder / name, weights_only=False) for name in ("last.ckpt", "final.ckpt"))
    assert (last["global_step"], last["stage"]["index"], last["batches_done"]) == (10, 1, 10)
    assert (final["global_step"], final["batches_done"]) == (11, 11)


def test_never_between_batches_that_are_added_up(run: Run) -> None:
    """Ten batches are five updates; gradients that wait for their partners are in no checkpoint."""
    done = run([replace(STAGE, steps=5)], [StageSwitch(), StepCheckpoint(every_n_steps=2)], accumulate_grad_batches=2)
    assert len(done.module.taken) == 10 and done.saved == [2, 4, 5]
    last = torch.load(done.folder / "checkpoints" / "last.ckpt", weights_only=False)
    assert (last["global_step"], last["batches_done"]) == (4, 8)


def test_its_folder_can_be_chosen(run: Run, tmp_path: Path) -> None:
    done = run([STAGE], [StageSwitch(), StepCheckpoint(str(tmp_path / "elsewhere"), every_n_steps=50)])
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["final.ckpt"]
    assert not (done.folder / "checkpoints").exists()


def test_a_full_disk_leaves_the_one_before_and_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save, folders = L.Trainer.save_checkpoint, []

    def fills_up(trainer: L.Trainer, path: Path, *args: object, **more: object) -> None:
        save(trainer, path, *args, **more)  # type: ignore[arg-type]
        folders.append(path.parent)
        if len(folders) == 2:
            path.write_bytes(path.read_bytes()[:100])
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(L.Trainer, "save_checkpoint", fills_up)
    with pytest.raises(ValueError, match=r"the disk is full.*the one written before is whole: .*last\.ckpt"):
        run([STAGE], [StageSwitch(), StepCheckpoint(every_n_steps=2)])
    assert [path.name for path in folders[0].iterdir()] == ["last.ckpt"], "nothing torn is left"
    assert torch.load(folders[0] / "last.ckpt", weights_only=False)["global_step"] == 2


def test_a_kill_while_it_is_written_leaves_the_one_before(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new one stands beside under another name until it is whole."""
    seen = []

    def save(trainer: L.Trainer, path: Path, *args: object, **more: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
        seen.append({p.name: p.read_bytes() for p in path.parent.iterdir() if p != path})
        path.write_bytes(b"whole")

    monkeypatch.setattr(L.Trainer, "save_checkpoint", save)
    run([STAGE], [StageSwitch(), StepCheckpoint(every_n_steps=2)])
    assert seen == [{}, {"last.ckpt": b"whole"}, {"last.ckpt": b"whole"}]


def test_a_checkpoint_every_zero_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="every_n_steps must be at least 1, not 0"):
        StepCheckpoint(every_n_steps=0)
