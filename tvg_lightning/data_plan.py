"""The sides that a training module and the datamodule show each other."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from tvg_lightning.tasks.mixture import Mixture


@dataclass(frozen=True)
class DataPlan:
    """The batches that training asks for, where they differ from the datamodule's own settings.

    num_batches None: as many as show every sample once. updates_per_batch: how often each batch is given
    before the next is read. goes_on: the trainer's epochs follow each other through the data, instead of each
    being a stage that begins anew. targets: a file of traces whose texts are to be learned.
    """

    batch_size: int
    mixture: Mixture
    first_epoch: int = 0
    num_batches: int | None = None
    updates_per_batch: int = 1
    goes_on: bool = False
    targets: Path | None = None


class Planner(Protocol):
    """The side of a training module that the datamodule asks."""

    needs_windows: bool
    needs_captions: bool
    needs_targets: bool

    def data_plan(self) -> DataPlan | None: ...

    def feature_identity(self) -> tuple[str, torch.dtype]:
        """The digest of the vision tower's weights and the dtype of its features, once they are loaded."""

    def token_side(self) -> int:
        """Pixels of a video token's side, to which frames are resized, once weights are loaded."""
