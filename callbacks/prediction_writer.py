"""Writes what ``predict`` answers, one JSON line a query."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import BasePredictionWriter

from tvg_lightning.modules.evaluation import Evaluated


class PredictionWriter(BasePredictionWriter):
    """``<run>/predictions-rank<r>.jsonl``: the text, what was read from it, and the true times of the frames seen."""

    def __init__(self, folder: str | None = None) -> None:
        super().__init__("batch")
        self.folder = folder

    def path(self, trainer: L.Trainer) -> Path:
        folder = Path(self.folder) if self.folder is not None else Path(trainer.default_root_dir)
        return folder / f"predictions-rank{trainer.global_rank}.jsonl"

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        path = self.path(trainer)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")

    def write_on_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        with self.path(trainer).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(record(evaluated)) + "\n" for evaluated in prediction)


def record(evaluated: Evaluated) -> dict[str, Any]:
    """One line of the file. Times are seconds from the start of the (cut) video."""
    sample, answer = evaluated.item.sample, evaluated.answer
    return {
        "qid": sample.sample_id,
        "video": sample.video,
        "query": sample.query,
        "text": evaluated.text,
        "well_formed": answer.well_formed,
        "span": list(answer.span) if answer.span is not None else None,
        "anchors": [list(anchor) for anchor in answer.anchors],
        "iou": evaluated.score,
        "duration_s": sample.duration_s,
        "frame_times_s": [round(t, 3) for t in evaluated.item.clip.times_s],
    }
