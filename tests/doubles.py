"""Callbacks that only tests need: they write down losses, cut the power, spoil gradients, compare processes."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from tvg_lightning.modules.evaluation import SplitMetrics
from tvg_lightning.modules.grounding import GroundingModule
from tvg_lightning.modules.staged import StagedModule
from tvg_lightning.parallel import of_all_ranks


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


class CountAsked(Callback):
    """The number of questions that the metrics of validation are over."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int, *more: Any
    ) -> None:
        assert isinstance(pl_module, GroundingModule)
        (metrics,) = pl_module.metrics.values()
        assert isinstance(metrics, SplitMetrics)
        self.file.write_text(str(int(metrics.grounding.counts[0])), encoding="utf-8")


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


class PoisonLast(Callback):
    """The loss of the last process has a gradient that is not a number, in one batch of the run."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        is_last = trainer.global_rank == trainer.world_size - 1
        if is_last and trainer.fit_loop.total_batch_idx == self.batch:
            loss.register_hook(lambda gradient: gradient * float("nan"))


class SameEverywhere(Callback):
    """Stops a run whose processes do not hold the same trained weights after an update."""

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        trained = [weight.detach() for weight in pl_module.parameters() if weight.requires_grad]
        sums = of_all_ranks([float(weight.double().abs().sum()) for weight in trained])
        if any(found != sums[0] for found in sums):
            raise ValueError("the processes have learned different weights")


class ShortLast(Callback):
    """In one stage the last process answers with one token, the others at full length."""

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, StagedModule)
        objective = pl_module.objective
        if pl_module.stage.name == self.stage and trainer.global_rank == trainer.world_size - 1:
            assert objective is not None
            generation = replace(objective.settings.generation, max_new_tokens=1)
            objective.settings = replace(objective.settings, generation=generation)


def losses(file: Path) -> list[tuple[str, int, float]]:
    """What LossLog wrote."""
    return [tuple(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
