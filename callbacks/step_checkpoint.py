"""A checkpoint every few steps, and one at the end, from which a run goes on exactly."""

import errno
import os
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.types import STEP_OUTPUT


class StepCheckpoint(Checkpoint):
    """``<run>/checkpoints/last.ckpt`` every ``every_n_steps`` updates, for ``fit --ckpt_path``; then ``final.ckpt``.

    Written beside and renamed: a kill or a full disk while it is written leaves the one before whole. Never between
    the batches whose gradients are added up (``accumulate_grad_batches``), for gradients are not in it. Never at the
    last batch of an epoch: Lightning would take the epoch as ended and skip what its end does, such as the
    change of stage. An interruption there costs the steps since the checkpoint before.
    """

    def __init__(self, dirpath: str | None = None, every_n_steps: int = 20) -> None:
        if every_n_steps < 1:
            raise ValueError(f"StepCheckpoint: every_n_steps must be at least 1, not {every_n_steps}")
        self.dirpath, self.every_n_steps = dirpath, every_n_steps

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
    ) -> None:
        is_update = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if is_update and trainer.global_step % self.every_n_steps == 0 and not trainer.is_last_batch:
            self._save(trainer, "last.ckpt")

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._save(trainer, "final.ckpt")

    def _save(self, trainer: L.Trainer, name: str) -> None:
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
