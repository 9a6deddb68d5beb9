"""A checkpoint every few steps, and one at the end, from which a run goes on exactly."""

import errno
import os
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import STEP_OUTPUT


class StepCheckpoint(Checkpoint):
    """``<run>/checkpoints/last.ckpt`` after ``every_n_steps`` updates, for ``fit --ckpt_path``; then ``final.ckpt``.

    Written beside and renamed: a kill or a full disk while it is written leaves the one before whole. Never between
    the batches whose gradients are added up (``accumulate_grad_batches``), for gradients are not in it. Never at the
    last batch of an epoch: Lightning would take the epoch as ended and skip what its end does, such as the
    change of stage. One that is due there is written at the next batch. A run that is stopped within an epoch writes
    ``last.ckpt`` at its last batch, from which it can go on. ``fast_dev_run`` writes none.

    Args:
        dirpath: a folder for the checkpoints (default: checkpoints in the run's folder).
        every_n_steps: updates from one last.ckpt to the next.
    """

    def __init__(self, dirpath: str | None = None, every_n_steps: int = 20) -> None:
        if every_n_steps < 1:
            raise ValueError(f"StepCheckpoint: every_n_steps must be at least 1, not {every_n_steps}")
        self.dirpath, self.every_n_steps = dirpath, every_n_steps
        self._saved_at = 0  # the update after which the last one was written
        self._ended_early = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._saved_at, self._ended_early = trainer.global_step, False

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
    ) -> None:
        is_update = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        is_due = trainer.global_step - self._saved_at >= self.every_n_steps
        is_stopping = trainer.should_stop or 0 <= trainer.max_steps <= trainer.global_step
        if is_update and (is_due or is_stopping) and not trainer.is_last_batch:
            self._save(trainer, "last.ckpt")
            self._saved_at = trainer.global_step

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._ended_early = not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        self._save(trainer, "final.ckpt")

    def state_dict(self) -> dict[str, Any]:
        return {"ended_early": self._ended_early}

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Refuse to train on from the end of a run that was stopped: Lightning takes the epoch as done."""
        state = checkpoint["callbacks"].get(self.state_key, {})
        if trainer.state.fn == TrainerFn.FITTING and state.get("ended_early"):
            raise ValueError(
                "the checkpoint is the last of a run that was stopped within an epoch, and Lightning would leave out "
                "the rest of it: go on from last.ckpt beside it"
            )

    def _save(self, trainer: L.Trainer, name: str) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        folder = Path(self.dirpath) if self.dirpath is not None else Path(trainer.default_root_dir) / "checkpoints"
        part, target = folder / f".{name}.part", folder / name
        try:
            trainer.save_checkpoint(part, weights_only=False)  # that is, with optimizer, schedule and place
            if trainer.is_global_zero:
                _sync(part)
                os.replace(part, target)
        except OSError as error:
            part.unlink(missing_ok=True)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            left = f"the one written before is whole: {target}" if target.exists() else "there is none from before"
            raise ValueError(
                f"the disk is full, no checkpoint could be written to {folder}; {left}. Make room and go on from it"
            ) from error
        trainer.strategy.barrier(f"{name} is in its place")


def _sync(path: Path) -> None:
    """Wait until the bytes are on the disk, so that the name never points to less than the file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
