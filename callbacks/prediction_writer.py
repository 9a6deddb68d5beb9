"""Writes what ``predict`` answers, one JSON line a query."""

import json
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from callbacks.processes import rank_files


class PredictionWriter(Callback):
    """``<run>/predictions-rank<r>.jsonl``: the text, the answer read from it, and the times of the frames.

    They take the place of those of an earlier ``predict``. ``fast_dev_run`` touches none.

    Args:
        folder: a folder for the predictions (default: the run's folder).
    """

    def __init__(self, folder: str | None = None) -> None:
        self.folder = folder

    def path(self, trainer: L.Trainer) -> Path:
        folder = Path(self.folder) if self.folder is not None else Path(trainer.default_root_dir)
        return folder / f"predictions-rank{trainer.global_rank}.jsonl"

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Empty this process's file; the first also removes those of processes that no longer exist."""
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        own = self.path(trainer)
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text("", encoding="utf-8")
        for path, name, rank in rank_files(own.parent):
            if name == "predictions" and trainer.is_global_zero and rank >= trainer.world_size:
                path.unlink()

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        with self.path(trainer).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(record) + "\n" for record in outputs)
