"""Keeps every completion that training samples, and draws some of them for TensorBoard."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import STEP_OUTPUT

from callbacks.processes import rank_files
from tvg_lightning.data.items import Item
from tvg_lightning.data.video import VideoClip
from tvg_lightning.modules.evaluation import Evaluated
from tvg_lightning.modules.grounding import GroundingModule
from tvg_lightning.modules.step import StepResult
from tvg_lightning.schema import Task
from tvg_lightning.timeline import Frames, draw_timeline, figure_to_image
from tvg_lightning.traces import Trace, TraceWriter


class AnchorTrace(Callback):
    """Every rollout's text, anchors, IoUs and reward parts to ``<run>/traces/<stage>-rank<r>.jsonl``.

    Every ``picture_every`` steps, or at the rollout after that, its best completion is drawn on the video's time line,
    and at every evaluation ``num_pictures`` answers of each split, of as many kinds of questions as there are. A run
    that resumes drops the traces of the steps that it takes again.

    Args:
        folder: a folder for the traces (default: traces in the run's folder).
        picture_every: steps from one picture of a rollout to the next.
        num_pictures: answers of each split that are drawn at an evaluation.
    """

    def __init__(self, folder: str | None = None, picture_every: int = 50, num_pictures: int = 4) -> None:
        if picture_every < 1 or num_pictures < 0:
            raise ValueError("AnchorTrace: picture_every must be at least 1 and num_pictures not negative")
        self.folder, self.picture_every, self.num_pictures = folder, picture_every, num_pictures
        self._writers: dict[str, TraceWriter] = {}
        self._written: StepResult | None = None  # the step whose traces are on disk
        self._resumed_at: int | None = None
        self._is_picture_due = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """A fresh run must not add to an older one's traces; a resumed one goes on from its checkpoint.

        Every process truncates its own file, the first also those of processes that no longer exist.
        """
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        for path, _, rank in rank_files(self.traces_folder(trainer)):
            if rank == trainer.global_rank or (trainer.is_global_zero and rank >= trainer.world_size):
                with TraceWriter(path) as writer:
                    writer.truncate_after(-1 if self._resumed_at is None else self._resumed_at - 1)
        self._resumed_at = None  # a later fit of the same callback may begin anew

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: STEP_OUTPUT,
        batch: list[Item],
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, GroundingModule) and pl_module.last_step is not None
        self._is_picture_due |= batch_idx % self.picture_every == 0
        grounded = [t for t in self._write(trainer, pl_module.last_step) if t.task == Task.TVG]
        if grounded and self._is_picture_due:
            self._is_picture_due = False
            if trainer.is_global_zero:
                self._draw_trace(trainer, max(grounded, key=lambda t: t.reward), pl_module.last_step.items)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        assert isinstance(pl_module, GroundingModule)
        if batch_idx == 0 and trainer.is_global_zero:
            split = pl_module.splits()[dataloader_idx]
            grounded = each_kind_first([e for e in pl_module.last_evaluated if e.item.task == Task.TVG])
            for number, evaluated in enumerate(grounded[: self.num_pictures]):
                self._draw_evaluated(trainer, evaluated, f"{split}/{number}")

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Write what was sampled for a step that failed, too: those are the traces to look at."""
        assert isinstance(pl_module, GroundingModule)
        if pl_module.last_step is not None:
            self._write(trainer, pl_module.last_step)
        self._close()

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn == TrainerFn.FITTING:  # an evaluation goes on with nothing
            self._resumed_at = checkpoint["batches_done"]

    # ---- files

    def traces_folder(self, trainer: L.Trainer) -> Path:
        """The folder that the traces are written to."""
        return Path(self.folder) if self.folder is not None else Path(trainer.default_root_dir) / "traces"

    def _writer(self, trainer: L.Trainer, stage: str) -> TraceWriter:
        if stage not in self._writers:
            self._close()  # the stage before is over
            self._writers[stage] = TraceWriter(self.traces_folder(trainer) / f"{stage}-rank{trainer.global_rank}.jsonl")
        return self._writers[stage]

    def _write(self, trainer: L.Trainer, step: StepResult) -> list[Trace]:
        """The traces of the rollout, if the step began with one, once."""
        if step is self._written:
            return []
        self._written = step
        if step.traces and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._writer(trainer, step.traces[0].stage).write(step.traces)
        return step.traces

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    # ---- pictures

    def _draw_trace(self, trainer: L.Trainer, trace: Trace, items: Sequence[Item]) -> None:
        item = next(i for i in items if i.position == trace.group)
        figure = draw_timeline(
            _frames(item),
            trace.duration_s,
            trace.windows,
            trace.answer,
            f"{trace.query}   ({trace.stage}, best of group, {_earned(trace)})",
            trace.text,
            item.clip.times_s if isinstance(item.clip, VideoClip) else None,
        )
        self._log_image(trainer, f"rollout/{trace.stage}", figure_to_image(figure))

    def _draw_evaluated(self, trainer: L.Trainer, evaluated: Evaluated, tag: str) -> None:
        item = evaluated.item
        figure = draw_timeline(
            _frames(item),
            item.sample.duration_s,
            item.sample.windows,
            evaluated.answer,
            item.sample.query + (f"   ({item.sample.kind})" if item.sample.kind else ""),
            evaluated.text,
            item.clip.times_s if isinstance(item.clip, VideoClip) else None,
        )
        self._log_image(trainer, f"validation/{tag}", figure_to_image(figure))

    def _log_image(self, trainer: L.Trainer, tag: str, image: Any) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(tag, image, trainer.global_step, dataformats="HWC")


def _earned(trace: Trace) -> str:
    """The reward, and each part of it by its name."""
    parts = ", ".join(f"{name} {value:.2f}" for name, value in trace.rewards.items())
    return f"reward {trace.reward:.2f}: {parts}"


def _frames(item: Item) -> Frames | None:
    """The frames that the policy saw; None where it was given features from a cache, and nothing was decoded."""
    return item.clip.frames.numpy() if isinstance(item.clip, VideoClip) else None


def each_kind_first(evaluated: Sequence[Evaluated]) -> list[Evaluated]:
    """The first of each kind of question, then the others, each in their order."""
    firsts: dict[str, Evaluated] = {}
    for one in evaluated:
        firsts.setdefault(one.item.sample.kind, one)
    shown = list(firsts.values())
    return shown + [one for one in evaluated if all(one is not other for other in shown)]
