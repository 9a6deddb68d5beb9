"""Callbacks that only tests need: one writes down every loss, one is a power cut, one spoils a gradient."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from tvg_lightning.modules.grounding import GroundingModule
from tvg_lightning.modules.staged import StagedModule


class LossLog(Callback):
    """One line a batch: stage, batch of the run, and the loss over all processes, to the last bit."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GroundingModule) and pl_module.last_step is not None
        loss = trainer.strategy.reduce(pl_module.last_step.loss.detach().double())
        stage = pl_module.stage.name if isinstance(pl_module, StagedModule) else "train"
        if trainer.is_global_zero:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps([stage, trainer.fit_loop.total_batch_idx, float(loss)]) + "\n")


class KillAt(Callback):
    """The process dies, without any goodbye, after a batch of the run."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.fit_loop.total_batch_idx == self.batch:
            os.kill(os.getpid(), signal.SIGKILL)


class Poison(Callback):
    """One gradient is not a number, in one batch of the run."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_after_backward(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.fit_loop.total_batch_idx == self.batch:
            gradient = next(p.grad for p in pl_module.parameters() if p.grad is not None)
            gradient.view(-1)[0] = float("nan")


def losses(file: Path) -> list[tuple[str, int, float]]:
    """What LossLog wrote."""
    return [tuple(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
