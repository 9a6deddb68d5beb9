"""Which questions make up a batch: the same for any number of ranks, and for a run that was interrupted."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from tvg_lightning.data.items import Draw, Item


@dataclass(frozen=True, slots=True)
class Sharding:
    """This process among all."""

    rank: int = 0
    world_size: int = 1


@dataclass(frozen=True, slots=True)
class Batches:
    """The draws of every batch of a stage, as this rank sees them.

    Batch b of the whole run takes positions b * batch_size * world_size and up; each rank takes its own stretch, so
    two ranks with batch 4 see what one rank with batch 8 sees. Position p is sample p mod n of its epoch's shuffle.
    """

    num_samples: int
    num_batches: int
    batch_size: int  # of one rank
    first_epoch: int
    seed: int
    sharding: Sharding

    def draws(self, batch: int) -> list[Draw]:
        """The draws of one batch."""
        start = (batch * self.sharding.world_size + self.sharding.rank) * self.batch_size
        return [self._draw(position) for position in range(start, start + self.batch_size)]

    def _draw(self, position: int) -> Draw:
        epoch = self.first_epoch + position // self.num_samples
        return Draw(epoch, _shuffle(self.num_samples, self.seed, epoch)[position % self.num_samples], position)


@lru_cache(maxsize=4)
def _shuffle(num_samples: int, seed: int, epoch: int) -> list[int]:
    """The order of an epoch; kept, because every draw asks for it."""
    return torch.randperm(num_samples, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch)).tolist()


class TrainingLoader:
    """A loader that can stop and go on: its state is the number of batches it has given."""

    def __init__(self, items: Dataset[Item], batches: Batches, num_workers: int) -> None:
        self.items, self.batches, self.num_workers = items, batches, num_workers
        self._given = 0

    def __len__(self) -> int:
        """Batches of the whole stage, also when it goes on from its middle."""
        return self.batches.num_batches

    def __iter__(self) -> Iterator[list[Item]]:
        rest = (self.batches.draws(b) for b in range(self._given, len(self)))
        loader: DataLoader[Item] = DataLoader(
            self.items,
            batch_sampler=rest,  # type: ignore[arg-type]  # our keys are draws, not integers
            num_workers=self.num_workers,
            collate_fn=list,
            persistent_workers=False,
        )
        for batch in loader:
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        return {"given": self._given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._given = int(state["given"])


def evaluation_loader(items: Dataset[Item], batch_size: int, num_workers: int, sharding: Sharding) -> DataLoader[Item]:
    """Every item once over all ranks, none twice: padding a rank's share would count samples double."""
    num_items = len(items)  # type: ignore[arg-type]
    mine = list(range(sharding.rank, num_items, sharding.world_size))
    batches = [mine[i : i + batch_size] for i in range(0, len(mine), batch_size)]
    return DataLoader(items, batch_sampler=batches, num_workers=num_workers, collate_fn=list)


def batches_in_epoch(num_samples: int, batch_size: int, world_size: int) -> int:
    """How many batches show every sample at least once."""
    return math.ceil(num_samples / (batch_size * world_size))
