"""A checkpoint every few steps, and one at the end, from which a run goes on exactly."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.types import STEP_OUTPUT


class StepCheckpoint(ModelCheckpoint):
    """``<run>/checkpoints/last.ckpt`` every ``every_n_steps`` steps, for ``fit --ckpt_path last``.

    Never at the last step of an epoch: Lightning would take the epoch as ended and skip what its end does,
    such as the change of stage. An interruption there costs the steps since the checkpoint before.
    ``final.ckpt`` is written when training is over.
    """

    def __init__(self, dirpath: str | None = None, every_n_steps: int = 20) -> None:
        if every_n_steps < 1:
            raise ValueError(f"StepCheckpoint: every_n_steps must be at least 1, not {every_n_steps}")
        super().__init__(
            dirpath, filename="step-{step}", save_last=True, save_top_k=1, every_n_train_steps=every_n_steps
        )

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self.dirpath is None:
            self.dirpath = f"{trainer.default_root_dir}/checkpoints"
        super().setup(trainer, pl_module, stage)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if not trainer.is_last_batch:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.save_checkpoint(f"{self.dirpath}/final.ckpt")
