"""The table that a person reads at the end: how good the policy was before training and after every stage."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from tvg_lightning.files import atomic_write
from tvg_lightning.metrics.grounding import ACCURACY_KEYS, anchor_means
from tvg_lightning.modules.grounding import GroundingModule
from tvg_lightning.modules.staged import StagedModule
from tvg_lightning.schema import Task
from tvg_lightning.timeline import draw_refinement, figure_to_image

SHORT = {
    ACCURACY_KEYS[Task.VERB_COMPLETION]: "VC",
    ACCURACY_KEYS[Task.ACTION_RECOGNITION]: "AR",
    ACCURACY_KEYS[Task.VIDEO_DESCRIPTION]: "VD",
}
SET_COLUMNS = ("C-Acc", "set_IoU", "tF1@0.5", "EtF1", "refusal_precision", "refusal_recall")
COLUMNS = ("mIoU", "R1@0.3", "R1@0.5", "R1@0.7", "format_rate", "VC", "AR", "VD")


class StageSummary(Callback):
    """Writes ``<run>/summary.json`` after every stage and prints the table at the end.

    The first row, "base", is the policy before training; it needs ``trainer.num_sanity_val_steps: -1``. The
    metrics are those of the first validation split; the others stand beside them under their own names.

    Args:
        file: a .json file for the table (default: summary.json in the run's folder).
    """

    def __init__(self, file: str | None = None) -> None:
        self.file = file
        self.rows: list[dict[str, Any]] = []
        self._stage_began = 0.0
        self._seconds_before = 0.0  # of the running stage, in the processes that were interrupted
        self._steps_before = 0
        self._is_evaluated = False  # within the present epoch

    def on_sanity_check_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, GroundingModule)
        if pl_module.last_metrics:
            self.rows = [self._row("base", pl_module, 0, 0.0)]
            self._write(trainer)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stage_began = time.monotonic()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # a run that resumes in the middle of an epoch does not start one
        self._stage_began = time.monotonic()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._is_evaluated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add a row with the latest evaluation of the epoch, where there was one."""
        assert isinstance(pl_module, GroundingModule)
        now_s = time.monotonic()
        if self._is_evaluated:
            name = pl_module.stage.name if isinstance(pl_module, StagedModule) else f"epoch {trainer.current_epoch + 1}"
            seconds = self._seconds_before + now_s - self._stage_began
            self.rows.append(self._row(name, pl_module, trainer.global_step - self._steps_before, seconds))
            self._write(trainer)
        self._steps_before, self._is_evaluated = trainer.global_step, False
        self._seconds_before, self._stage_began = 0.0, now_s  # for checkpoints of this moment

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print the table and draw it; the weights are saved by now, whatever happens here."""
        assert isinstance(pl_module, GroundingModule)
        if not trainer.is_global_zero or not self.rows:
            return
        sys.stdout.write(f"\n{table(self.rows, pl_module.splits())}\n\nwritten to {self._path(trainer)}\n")
        anchors = [row["anchor_mIoU"] for row in self.rows]
        curves = [[a[k] if len(a) > k else None for a in anchors] for k in range(min(3, max(map(len, anchors))))]
        figure = draw_refinement(
            [row["stage"] for row in self.rows],
            curves,
            [row.get("mIoU") for row in self.rows],
            "Mean IoU, stage by stage",
        )
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("refinement", figure_to_image(figure), dataformats="HWC")

    def state_dict(self) -> dict[str, Any]:
        seconds = self._seconds_before + (time.monotonic() - self._stage_began if self._stage_began else 0.0)
        return {"rows": self.rows, "seconds": seconds, "steps_before": self._steps_before}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if "steps_before" not in state_dict:
            raise ValueError(
                "the checkpoint was written before names changed: put its weights into a folder (tvg_lightning export) "
                "and begin a new run from there"
            )
        self.rows, self._seconds_before = state_dict["rows"], state_dict["seconds"]
        self._steps_before = state_dict["steps_before"]

    def _row(self, stage: str, module: GroundingModule, steps: int, seconds: float) -> dict[str, Any]:
        first, *others = module.splits()
        label = module.preset_label
        named = {} if label is None else {"preset": label}
        row = {
            "stage": stage,
            **named,
            **_short(module.last_metrics[first]),
            "steps": steps,
            "seconds": round(seconds, 1),
        }
        return row | {split: _short(module.last_metrics[split]) for split in others}

    def _path(self, trainer: L.Trainer) -> Path:
        return Path(self.file) if self.file is not None else Path(trainer.default_root_dir) / "summary.json"

    def _write(self, trainer: L.Trainer) -> None:
        if not trainer.is_global_zero or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        with atomic_write(self._path(trainer)) as part:
            part.write_text(json.dumps(self.rows, indent=1) + "\n", encoding="utf-8")


def _short(metrics: dict[str, float]) -> dict[str, Any]:
    """The metrics under the names of the table; the anchors as a list."""
    named = {SHORT.get(key, key): round(float(value), 4) for key, value in metrics.items() if "anchor_" not in key}
    return named | {"anchor_mIoU": [round(float(mean), 4) for mean in anchor_means(metrics)]}


def table(rows: list[dict[str, Any]], splits: list[str]) -> str:
    """The rows as text, one block a split; above them the preset that made the numbers, where there is one."""
    blocks = [f"preset {label}" for label in dict.fromkeys(row["preset"] for row in rows if "preset" in row)]
    for split in splits:
        of_split = [(row["stage"], row if split == splits[0] else row.get(split, {})) for row in rows]
        block = _block(split, of_split, COLUMNS, has_anchors=True)
        for columns in (SET_COLUMNS, sorted({key for _, metrics in of_split for key in metrics if "mIoU/" in key})):
            if any(key in metrics for _, metrics in of_split for key in columns):
                block += _block("", of_split, columns)
        blocks.append("\n".join(block))
    return "\n\n".join(blocks)


def _block(
    head: str, rows: Sequence[tuple[str, dict[str, Any]]], columns: Sequence[str], has_anchors: bool = False
) -> list[str]:
    """Lines of the table: the names of the columns, then a line a stage."""
    widths = {column: max(12, len(column) + 2) for column in columns}
    names = "".join(f"{column:>{width}}" for column, width in widths.items())
    lines = [f"{head:<16}{names}" + ("   anchors" if has_anchors else "")]
    for stage, metrics in rows:
        cells = "".join(f"{metrics[c]:>{w}.3f}" if c in metrics else f"{'–':>{w}}" for c, w in widths.items())
        anchors = " ".join(f"{a:.3f}" for a in metrics.get("anchor_mIoU", []))
        lines.append(f"  {stage:<14}{cells}" + (f"   {anchors}" if has_anchors else ""))
    return lines
