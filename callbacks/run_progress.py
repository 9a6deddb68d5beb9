"""Progress of a run with the time left, on a terminal and in a file alike, and the metrics of every validation."""

import logging
from collections.abc import Sequence
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import STEP_OUTPUT

from tvg_lightning.modules.grounding import GroundingModule
from tvg_lightning.modules.staged import StagedModule
from tvg_lightning.progress import Progress

log = logging.getLogger(__name__)

_TOLD = ("mIoU", "R1@0.5", "format_rate")  # of a split, where it has them


class RunProgress(Callback):
    """Says how many steps of the stage (or batches of a validation, test or prediction) are done, and the time left.

    One line drawn anew on a terminal; in a file a line every 2 % of the expected time, at least 10 and at most 300 s
    apart. The time left is the stage's at its mean speed: how fast later stages are is not known before.
    ``trainer.enable_progress_bar: false`` turns it off (``is_on``), and so does a progress bar in trainer.callbacks.
    The first process alone writes.
    """

    def __init__(self) -> None:
        self.is_on = True
        self._training: Progress | None = None
        self._evaluating: Progress | None = None

    # ---- training

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Begin with the first batch, also of a run that goes on in the middle of a stage."""
        if self._training is None and self._writes(trainer):
            self._training = Progress(_stage(trainer, pl_module), _num_batches(trainer), "step", num_before=batch_idx)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if self._training is not None:
            told = dict(trainer.progress_bar_metrics)
            step = pl_module.last_step if isinstance(pl_module, GroundingModule) else None
            if step is not None and "reward" not in step.metrics:
                told.pop("reward", None)  # of an earlier rollout: Lightning goes on telling it
            self._training.set(batch_idx + 1, ", ".join(f"{_short(name)} {value:.3f}" for name, value in told.items()))
            if trainer.is_last_batch:
                self._close()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._close()

    # ---- evaluation

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking:
            self._begin(trainer, "validating before training", trainer.num_sanity_val_batches)
        else:
            self._begin(trainer, "validating", trainer.num_val_batches)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._begin(trainer, "testing", trainer.num_test_batches)

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._begin(trainer, "predicting", trainer.num_predict_batches)

    def on_validation_batch_end(self, *_: Any, **__: Any) -> None:
        self._count()

    def on_test_batch_end(self, *_: Any, **__: Any) -> None:
        self._count()

    def on_predict_batch_end(self, *_: Any, **__: Any) -> None:
        self._count()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close, and say the splits' metrics; ``validate`` and ``test`` end with Lightning's whole table."""
        self._close_evaluation()
        assert isinstance(pl_module, GroundingModule)
        if self._writes(trainer) and trainer.state.fn == "fit":
            when = "before training" if trainer.sanity_checking else f"after {trainer.global_step} updates"
            for line in metric_lines(pl_module.last_metrics, when):
                log.info(line)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._close_evaluation()

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._close_evaluation()

    # ---- both

    def _writes(self, trainer: L.Trainer) -> bool:
        return self.is_on and trainer.is_global_zero

    def _begin(self, trainer: L.Trainer, what: str, num_batches: Sequence[float]) -> None:
        total = sum(num_batches)
        if self._writes(trainer) and total > 0:
            self._evaluating = Progress(what, int(total) if total < float("inf") else None, "batch")

    def _count(self) -> None:
        if self._evaluating is not None:
            self._evaluating.update()

    def _close_evaluation(self) -> None:
        if self._evaluating is not None:
            self._evaluating.close()
            self._evaluating = None

    def _close(self) -> None:
        self._close_evaluation()
        if self._training is not None:
            self._training.close()
            self._training = None


def _stage(trainer: L.Trainer, module: L.LightningModule) -> str:
    if isinstance(module, StagedModule):
        return f"stage {module.stage.name} ({module.stage_index + 1} of {len(module.stages)})"
    epochs = f" of {trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
    return f"epoch {trainer.current_epoch + 1}{epochs}"


def _num_batches(trainer: L.Trainer) -> int | None:
    """Batches of this epoch, fewer where ``max_steps`` ends it before; None where nobody knows."""
    num: float = trainer.num_training_batches
    if trainer.max_steps >= 0:
        begun = trainer.fit_loop.epoch_loop.batch_progress.current.completed
        num = min(num, begun + (trainer.max_steps - trainer.global_step) * trainer.accumulate_grad_batches)
    return int(num) if num < float("inf") else None


def _short(name: str) -> str:
    return name.removeprefix("train/")


def metric_lines(metrics: dict[str, dict[str, float]], when: str) -> list[str]:
    """One line a split.

    >>> metric_lines({"held_out": {"mIoU": 0.51234, "format_rate": 1.0}}, "after 60 updates")
    ['held_out after 60 updates: mIoU 0.512, format_rate 1.000']
    """
    return [
        f"{split} {when}: " + ", ".join(f"{name} {float(values[name]):.3f}" for name in _TOLD if name in values)
        for split, values in metrics.items()
        if any(name in values for name in _TOLD)
    ]
