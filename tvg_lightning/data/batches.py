"""Batches of questions: the same for any number of ranks, and for a run that was interrupted."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch

from tvg_lightning.data.bad_videos import replacements
from tvg_lightning.data.difficulty import OnlineDifficulty
from tvg_lightning.data.item_reader import Reader
from tvg_lightning.data.items import Draw, EvaluationQuestions, Item, TargetQuestions, TrainingQuestions
from tvg_lightning.data.sample_weights import SampleWeights


@dataclass(frozen=True, slots=True)
class Sharding:
    """The rank of this process, and the number of processes."""

    rank: int = 0
    world_size: int = 1


@dataclass(frozen=True, slots=True)
class Batches:
    """The draws of every batch of a stage, as this rank sees them.

    Batch b of the stage takes positions b * batch_size * world_size and up; each rank takes its own stretch,
    so two ranks with batch 4 see what one rank with batch 8 sees. Position p is sample p mod n of its pass's
    shuffle. With ``difficulty``, a pass has whole batches of the samples it keeps, and what is left over is
    not drawn in it. With ``weights``, the order of a pass is that of a draw by weight, without replacement.
    """

    num_samples: int
    num_batches: int  # of one pass over the loader
    batch_size: int  # of one rank
    first_epoch: int
    seed: int
    sharding: Sharding
    repeats: int = 1  # how often each batch is given: the updates that share one rollout
    difficulty: OnlineDifficulty | None = None
    weights: SampleWeights | None = None

    def candidates(self, batch: int) -> list[Iterator[Draw]]:
        """Each draw of a batch, and after it those that take its place where it cannot be used, in their order."""
        start = (batch * self.sharding.world_size + self.sharding.rank) * self.batch_size
        return [self._candidates(position) for position in range(start, start + self.batch_size)]

    def stretches(self, first: int, end: int) -> Iterator[range]:
        """Batches ``first`` to ``end`` in stretches that may be read ahead.

        Where a pass depends on the answers given in the one before, its batches are not known until then.
        """
        if self.difficulty is None:
            yield range(first, end)
            return
        while first < end:
            if first == self._first_batch(len(self.difficulty.kept)):
                self.difficulty.close_pass()
            stop = min(end, self._first_batch(len(self.difficulty.kept)))
            yield range(first, stop)
            first = stop

    def _first_batch(self, pass_number: int) -> int:
        """The batch with which a pass begins."""
        assert self.difficulty is not None
        return sum(len(kept) // self._global_size for kept in self.difficulty.kept[:pass_number])

    @property
    def _global_size(self) -> int:
        return self.batch_size * self.sharding.world_size

    def _candidates(self, position: int) -> Iterator[Draw]:
        number, place, samples = self._pass(position)
        order = _order(len(samples), self.seed, self.first_epoch + number, self.weights)
        draw = Draw(self.first_epoch + number, samples[order[place]], position)
        yield draw
        for other in replacements(order, place):
            yield replace(draw, index=samples[other])

    def _pass(self, position: int) -> tuple[int, int, Sequence[int]]:
        """The pass a position is in, its place in the pass, and the samples of the pass."""
        if self.difficulty is None:
            return *divmod(position, self.num_samples), range(self.num_samples)
        number, place, kept = 0, position, self.difficulty.kept
        while place >= (size := len(kept[number]) // self._global_size * self._global_size):
            number, place = number + 1, place - size
        return number, place, kept[number]


@lru_cache(maxsize=4)
def _order(num_samples: int, seed: int, epoch: int, weights: SampleWeights | None) -> list[int]:
    """The order of an epoch; kept, because every draw asks for it."""
    of_epoch = seed * 1_000_003 + epoch
    if weights is not None:
        return weights.order(of_epoch)
    return torch.randperm(num_samples, generator=torch.Generator().manual_seed(of_epoch)).tolist()


class TrainingLoader:
    """A loader that can stop and go on. A pass gives ``num_batches`` batches; the next begins after them."""

    def __init__(
        self,
        questions: TrainingQuestions | TargetQuestions,
        reader: Reader,
        batches: Batches,
        first_batch: int = 0,
    ) -> None:
        self.questions, self.reader, self.batches = questions, reader, batches
        self._begun = self._given = first_batch  # where this pass began, and which batch comes next
        self._goes_on = False  # the next pass is the rest of one that was interrupted

    def __len__(self) -> int:
        """Batches of a whole pass, also when it goes on from its middle."""
        return self.batches.num_batches

    def __iter__(self) -> Iterator[list[Item]]:
        # runs at the first batch, not at iter(): Lightning calls iter() twice before some epochs
        if not self._goes_on:
            self._begun = self._given
        self._goes_on = False
        end, repeats = self._begun + len(self), self.batches.repeats
        for stretch in self.batches.stretches(self._given // repeats, math.ceil(end / repeats)):
            for batch in self._read(stretch):
                for _ in range(min(end - self._given, repeats - self._given % repeats)):
                    self._given += 1
                    yield batch

    def _read(self, stretch: range) -> Iterator[list[Item]]:
        """The batches of a stretch; none beyond it is read ahead."""
        return self.reader.training(
            [map(self.questions.__getitem__, draws) for draws in self.batches.candidates(batch)] for batch in stretch
        )

    def state_dict(self) -> dict[str, Any]:
        difficulty = self.batches.difficulty
        return {
            "first_epoch": self.batches.first_epoch,
            "begun": self._begun,
            "given": self._given,
            "difficulty": None if difficulty is None else difficulty.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """A state saved between two stages is that of the stage before: this one begins at its own start."""
        if state["first_epoch"] == self.batches.first_epoch:
            self._begun, self._given = int(state["begun"]), int(state["given"])
            self._goes_on = self._given < self._begun + len(self)
            if self.batches.difficulty is not None and state["difficulty"] is not None:
                self.batches.difficulty.load_state_dict(state["difficulty"])


def settle(state: dict[str, Any], is_mid_step: bool, is_over: bool) -> None:
    """Make the state of a TrainingLoader that of the steps that were taken, in place.

    The batch of a step that has begun and not ended is given again. ``is_over``: the trainer has taken its last batch
    of this pass, which may have more (``limit_train_batches``): the next one begins here.
    """
    if is_mid_step:
        state["given"] -= 1
    elif is_over:
        state["begun"] = state["given"]


class EvaluationLoader:
    """Every item once over all ranks, none counted twice, and as many batches on every rank.

    A rank that has fewer batches than another gets one more with a repeated item (asked for as ``~index``), for
    sharded ranks must take the same number of turns.
    """

    def __init__(self, questions: EvaluationQuestions, reader: Reader, batch_size: int, sharding: Sharding) -> None:
        mine = list(range(sharding.rank, len(questions), sharding.world_size))
        self.questions, self.reader = questions, reader
        self.batches = [mine[i : i + batch_size] for i in range(0, len(mine), batch_size)]
        most = math.ceil(math.ceil(len(questions) / sharding.world_size) / batch_size)
        self.batches += [[~0]] * (most - len(self.batches))

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[Item]]:
        return self.reader.evaluation([self.questions[index] for index in batch] for batch in self.batches)


def batches_in_epoch(num_samples: int, batch_size: int, world_size: int) -> int:
    """The number of batches that show every sample at least once."""
    return math.ceil(num_samples / (batch_size * world_size))
