import errno
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from callbacks.stage_switch import StageSwitch
from callbacks.step_checkpoint import StepCheckpoint
from tests.callbacks.conftest import Run
from tvg_lightning.modules.grpo_settings import GRPOSettings
from tvg_lightning.modules.optimizer_settings import OptimizerSettings
from tvg_lightning.modules.settings import StageSettings
from tvg_lightning.rewards.weights import RewardWeights

STAGE = StageSettings("explore", grpo=GRPOSettings(beta=0.0), reward=RewardWeights(iou=1.0), steps=6, batch_size=2)


def test_every_few_steps_but_not_at_the_end_of_a_stage(run: Run) -> None:
    done = run([STAGE, replace(STAGE, name="refine", steps=5)], [StageSwitch(), StepCheckpoint(every_n_steps=2)])
    assert done.saved == [2, 4, 7, 9, 11]  # 6 would skip the change of stage, so it is 7; 11 is the final one
    folder = done.folder / "checkpoints"
    assert {path.name for path in folder.iterdir()} == {"last.ckpt", "final.ckpt"}
    last, final = (torch.load(folder / name, weights_only=False) for name in ("last.ckpt", "final.ckpt"))
    assert (last["global_step"], last["stage"]["index"], last["batches_done"]) == (9, 1, 9)
    assert (final["global_step"], final["batches_done"]) == (11, 11)


def test_never_between_batches_that_are_added_up(run: Run) -> None:
    """Ten batches are five updates; gradients that wait for their partners are in no checkpoint."""
    done = run([replace(STAGE, steps=5)], [StageSwitch(), StepCheckpoint(every_n_steps=2)], accumulate_grad_batches=2)
    assert len(done.module.taken) == 10 and done.saved == [2, 4, 5]
    last = torch.load(done.folder / "checkpoints" / "last.ckpt", weights_only=False)
    assert (last["global_step"], last["batches_done"]) == (4, 8)


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_weights_alone_can_be_saved_but_not_gone_on_from(run: Run, tmp_path: Path) -> None:
    """By Lightning's own callback; a run that goes on needs the optimizer, too."""
    alone = ModelCheckpoint(tmp_path / "alone", filename="weights", save_weights_only=True)
    run([STAGE], [StageSwitch(), alone])
    saved = torch.load(tmp_path / "alone" / "weights.ckpt", weights_only=False)
    assert "optimizer_states" not in saved and saved["state_dict"]["policy.weight"] != 0
    with pytest.raises(ValueError, match=r"the checkpoint holds weights alone .*save_weights_only"):
        run([STAGE], [StageSwitch()], ckpt_path=tmp_path / "alone" / "weights.ckpt")


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


@pytest.mark.parametrize("every_n_steps", [2, 4, 5])
def test_epochs_that_are_no_longer_than_the_interval_are_saved(every_n_steps: int, run: Run) -> None:
    """Stages of two batches: each second batch is a last one."""
    stages = [replace(STAGE, name=f"stage{k}", steps=2) for k in range(6)]
    done = run(stages, [StageSwitch(), StepCheckpoint(every_n_steps=every_n_steps)])
    gaps = [after - before for before, after in pairwise([0, *done.saved])]
    assert len(gaps) > 2 and max(gaps) <= every_n_steps + 1


def test_a_run_that_is_stopped_goes_on_from_its_last_batch(run: Run) -> None:
    whole = run([STAGE], [StageSwitch()]).module
    stopped = run([STAGE], [StageSwitch(), StepCheckpoint(every_n_steps=100)], max_steps=4)
    folder = stopped.folder / "checkpoints"
    again = run([STAGE], [StageSwitch(), StepCheckpoint()], ckpt_path=folder / "last.ckpt")
    assert again.module.weights == whole.weights[4:]
    stopped = run([STAGE], [StageSwitch(), StepCheckpoint(every_n_steps=100)], max_steps=4)
    with pytest.raises(ValueError, match=r"stopped within an epoch.*go on from last\.ckpt"):
        run([STAGE], [StageSwitch(), StepCheckpoint()], ckpt_path=folder / "final.ckpt")


def test_a_run_that_goes_on_takes_its_rates_from_the_config(run: Run) -> None:
    def stage(**optimizer: Any) -> list[StageSettings]:
        return [replace(STAGE, optimizer=OptimizerSettings(**optimizer))]

    def groups(trainer: L.Trainer) -> list[tuple[Any, ...]]:
        return [(g["weight_decay"], tuple(g["betas"])) for g in trainer.optimizers[0].param_groups]

    stopped = run(stage(lr=0.1), [StageSwitch(), StepCheckpoint(every_n_steps=2)], max_steps=2)
    last = stopped.folder / "checkpoints" / "last.ckpt"
    other = stage(lr=0.05, weight_decay=0.5, betas=(0.5, 0.6), schedule="linear")
    again = run(other, [StageSwitch(), StepCheckpoint()], ckpt_path=last)
    assert stopped.module.lrs == [0.1, 0.1]
    assert again.module.lrs == pytest.approx([0.05 * (1 - step / 6) for step in range(2, 6)])
    assert groups(again.trainer) == [(0.5, (0.5, 0.6))]


def test_a_dry_run_leaves_the_checkpoints_of_an_earlier_one(run: Run) -> None:
    folder = run([STAGE], [StageSwitch(), StepCheckpoint(every_n_steps=2)]).folder / "checkpoints"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    dry = run([STAGE], [StageSwitch(), StepCheckpoint(every_n_steps=1)], fast_dev_run=3)
    assert len(dry.module.taken) > 1 and not dry.saved
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_second_fit_of_the_same_callback_is_not_taken_for_stopped(run: Run) -> None:
    """What the first fit ended with is not in the second's checkpoints."""
    callback = StepCheckpoint(every_n_steps=4)
    run([STAGE], [StageSwitch(), callback], max_steps=3)
    last = run([STAGE], [StageSwitch(), callback]).folder / "checkpoints" / "last.ckpt"
    assert len(run([STAGE], [StageSwitch(), StepCheckpoint()], ckpt_path=last).module.taken) == 2


class SaveOnException(L.Callback):
    """As Lightning's OnExceptionCheckpoint, and as it saves at a signal of Slurm's."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        trainer.save_checkpoint(self.path)


@pytest.mark.parametrize("fails_at", [0, 3, 5])
def test_a_step_that_failed_is_taken_again(fails_at: int, run: Run, tmp_path: Path) -> None:
    """From a checkpoint in the middle of it; 5 is the last batch of the stage."""
    stages = [STAGE, replace(STAGE, name="refine", steps=2)]
    whole = run(stages, [StageSwitch()]).module
    kept = tmp_path / "kept.ckpt"
    with pytest.raises(RuntimeError, match="no memory is left"):
        run(stages, [StageSwitch(), SaveOnException(kept)], fails_at=fails_at)
    again = run(stages, [StageSwitch()], ckpt_path=kept).module
    assert again.asked == whole.asked[fails_at:]
    assert again.weights == whole.weights[fails_at:]
