"""Which questions make up a batch: by hand on small runs, then in Lightning's own loop."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tvg_lightning.data.batches import (
    Batches,
    EvaluationLoader,
    Sharding,
    TrainingLoader,
    batches_in_epoch,
    settle,
)
from tvg_lightning.data.items import Draw


class Echo:
    """Questions that are their keys, so that a batch shows what was asked for."""

    def __init__(self, num_items: int = 0) -> None:
        self.num_items = num_items

    def __len__(self) -> int:
        return self.num_items

    def __getitem__(self, key: object) -> object:
        return key


class EchoReader:
    """Reads nothing; with ``is_eager`` it asks for all that it may have before it gives the first batch."""

    def __init__(self, is_eager: bool = False) -> None:
        self.is_eager = is_eager

    def training(self, batches: Iterable[Sequence[Iterator[Any]]]) -> Iterator[list[Any]]:
        drawn = ([next(candidates) for candidates in batch] for batch in batches)
        return iter(list(drawn)) if self.is_eager else drawn

    def evaluation(self, batches: Iterable[Sequence[Any]]) -> Iterator[list[Any]]:
        return map(list, batches)


def loader_of(plan: Batches, first_batch: int = 0, is_eager: bool = False) -> TrainingLoader:
    return TrainingLoader(Echo(), EchoReader(is_eager), plan, first_batch)  # type: ignore[arg-type]


def evaluation_loader(num_items: int, batch_size: int, sharding: Sharding) -> EvaluationLoader:
    return EvaluationLoader(Echo(num_items), EchoReader(), batch_size, sharding)  # type: ignore[arg-type]


def batches(num_samples: int = 6, num_batches: int = 3, batch_size: int = 4, **changes: object) -> Batches:
    settings = {"first_epoch": 0, "seed": 0, "sharding": Sharding()} | changes
    return Batches(num_samples, num_batches, batch_size, **settings)  # type: ignore[arg-type]


def drawn_by(plan: Batches, batch: int) -> list[Draw]:
    return [next(candidates) for candidates in plan.candidates(batch)]


def test_positions_epochs_and_samples_of_a_small_run() -> None:
    """6 samples in batches of 4: the second batch takes the last two of epoch 0 and two of epoch 1."""
    draws = [drawn_by(batches(first_epoch=7), b) for b in range(3)]
    assert [[d.position for d in batch] for batch in draws] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert [[d.epoch for d in batch] for batch in draws] == [[7, 7, 7, 7], [7, 7, 8, 8], [8, 8, 8, 8]]
    flat = [d.index for batch in draws for d in batch]
    assert sorted(flat[:6]) == sorted(flat[6:]) == list(range(6))
    assert flat[:6] != flat[6:]  # another order


@given(
    num_samples=st.integers(1, 40),
    batch_size=st.integers(1, 6),
    world_size=st.integers(1, 4),
    batch=st.integers(0, 9),
    seed=st.integers(0, 3),
)
def test_ranks_together_see_what_one_rank_sees(
    num_samples: int, batch_size: int, world_size: int, batch: int, seed: int
) -> None:
    one = drawn_by(batches(num_samples, batch_size=batch_size * world_size, seed=seed), batch)
    shards = [Sharding(rank, world_size) for rank in range(world_size)]
    plans = [batches(num_samples, batch_size=batch_size, seed=seed, sharding=shard) for shard in shards]
    assert [draw for plan in plans for draw in drawn_by(plan, batch)] == one


def test_two_ranks_of_4_see_what_one_rank_of_8_sees() -> None:
    one = drawn_by(batches(20, batch_size=8), 1)
    first, second = (drawn_by(batches(20, batch_size=4, sharding=Sharding(rank, 2)), 1) for rank in range(2))
    assert first + second == one and [d.position for d in second] == [12, 13, 14, 15]


@given(num_samples=st.integers(1, 50), batch_size=st.integers(1, 7), seed=st.integers(0, 5))
def test_every_sample_once_an_epoch(num_samples: int, batch_size: int, seed: int) -> None:
    num_batches = batches_in_epoch(num_samples, batch_size, 1)
    loader = loader_of(batches(num_samples, num_batches, batch_size, seed=seed))
    drawn = [draw for batch in loader for draw in batch]
    assert len(drawn) == num_batches * batch_size
    assert sorted(d.index for d in drawn if d.epoch == 0) == list(range(num_samples))


@pytest.mark.parametrize(
    ("samples", "size", "ranks", "expected"), [(8, 4, 1, 2), (9, 4, 1, 3), (9, 4, 2, 2), (1, 8, 4, 1)]
)
def test_batches_in_epoch(samples: int, size: int, ranks: int, expected: int) -> None:
    assert batches_in_epoch(samples, size, ranks) == expected


def test_what_takes_the_place_of_a_draw() -> None:
    """The rest of the pass's shuffle, from the draw on, under the draw's own position and epoch."""
    plan = batches(6, batch_size=4)
    order = [draw.index for b in range(3) for draw in drawn_by(plan, b)][:6]
    draw, *others = list(plan.candidates(1)[0])
    assert draw == drawn_by(plan, 1)[0] == Draw(0, order[4], 4)
    assert others == [Draw(0, index, 4) for index in (order[5], *order[:4])]


def test_seeds_and_epochs_shuffle_differently() -> None:
    orders = {
        tuple(d.index for d in drawn_by(batches(20, batch_size=20, seed=seed, first_epoch=epoch), 0))
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 9


# ---- stop and go on


def positions(loader: TrainingLoader) -> list[list[int]]:
    return [[draw.position for draw in batch] for batch in loader]  # type: ignore[attr-defined]


@pytest.mark.parametrize("is_eager", [False, True])
def test_a_resumed_loader_gives_exactly_the_rest(is_eager: bool) -> None:
    plan = batches(10, num_batches=5, batch_size=2)
    whole = list(loader_of(plan))
    stopped = loader_of(plan, is_eager=is_eager)
    running = iter(stopped)
    begun = [next(running), next(running)]
    resumed = loader_of(plan, is_eager=is_eager)
    resumed.load_state_dict(stopped.state_dict())
    assert len(resumed) == 5  # Lightning counts the batches given before itself
    assert begun + list(resumed) == whole


def test_the_pass_after_goes_on_where_the_one_before_ended() -> None:
    loader = loader_of(batches(6, num_batches=2, batch_size=3))
    assert positions(loader) == [[0, 1, 2], [3, 4, 5]]
    assert positions(loader) == [[6, 7, 8], [9, 10, 11]]


def test_resuming_between_two_passes_gives_a_whole_pass() -> None:
    plan = batches(6, num_batches=2, batch_size=3)
    ended = loader_of(plan)
    assert len(list(ended)) == 2
    resumed = loader_of(plan, first_batch=2)
    resumed.load_state_dict(ended.state_dict())
    assert positions(resumed) == [[6, 7, 8], [9, 10, 11]]


def test_iter_alone_takes_nothing() -> None:
    """Lightning calls iter() twice before a reloaded epoch."""
    loader = loader_of(batches(6, num_batches=2, batch_size=3))
    iter(loader)
    assert len(list(loader)) == 2


def test_the_state_of_another_stage_is_not_taken_over() -> None:
    before = loader_of(batches(6, num_batches=2, batch_size=3))
    list(before)
    coming = loader_of(batches(6, num_batches=4, batch_size=3, first_epoch=100_000))
    coming.load_state_dict(before.state_dict())
    assert [batch[0] for batch in positions(coming)] == [0, 3, 6, 9]


class Collector(L.LightningModule):
    """Trains one number and notes which positions it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[int, list[int]]] = []

    def transfer_batch_to_device(self, batch: list[Draw], device: torch.device, dataloader_idx: int) -> list[Draw]:
        return batch

    def training_step(self, batch: list[Draw], batch_idx: int) -> Tensor:
        self.seen.append((self.current_epoch, [draw.position for draw in batch]))
        return self.weight * 1.0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        (state,) = checkpoint["loops"]["fit_loop"]["state_dict"]["combined_loader"]
        is_over = self.trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        settle(state, is_mid_step=False, is_over=is_over)


class StopAt(L.Callback):
    """Saves and stops after a batch, as an interrupted run with a step checkpoint would."""

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


def fit(callbacks: list[L.Callback], path: Path | None = None, limit: int | None = None) -> list[tuple[int, list[int]]]:
    trainer = L.Trainer(
        max_epochs=2,
        limit_train_batches=limit,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=callbacks,
    )
    module = Collector()
    loader = loader_of(batches(6, num_batches=3, batch_size=2))
    trainer.fit(module, loader, ckpt_path=path, weights_only=False)
    return module.seen


def test_lightning_goes_on_from_epoch_to_epoch_and_from_a_checkpoint(tmp_path: Path) -> None:
    whole = fit([])
    assert whole == [(0, [0, 1]), (0, [2, 3]), (0, [4, 5]), (1, [6, 7]), (1, [8, 9]), (1, [10, 11])]
    for step in (1, 4, 5):
        path = tmp_path / f"{step}.ckpt"
        fit([StopAt(step, path)])
        assert fit([], path) == whole[step:]


def test_an_epoch_that_the_trainer_limits_is_over(tmp_path: Path) -> None:
    """The next one has as many batches as without an interruption, not the one that the limit left over."""
    whole = fit([], limit=2)
    assert whole == [(0, [0, 1]), (0, [2, 3]), (1, [4, 5]), (1, [6, 7])]
    for step in (1, 2, 3):
        path = tmp_path / f"{step}.ckpt"
        fit([StopAt(step, path)], limit=2)
        assert fit([], path, limit=2) == whole[step:]


def test_a_batch_whose_step_has_not_ended_is_given_again() -> None:
    state = {"begun": 3, "given": 5}
    settle(state, is_mid_step=True, is_over=True)  # Lightning's word on the last batch, before its step
    assert state == {"begun": 3, "given": 4}


# ---- evaluation


@given(num_items=st.integers(0, 30), batch_size=st.integers(1, 7), world_size=st.integers(1, 5))
def test_evaluation_gives_every_item_once_over_all_ranks(num_items: int, batch_size: int, world_size: int) -> None:
    loaders = [evaluation_loader(num_items, batch_size, Sharding(rank, world_size)) for rank in range(world_size)]
    seen = [item for loader in loaders for batch in loader for item in batch]
    assert sorted(item for item in seen if item >= 0) == list(range(num_items))  # type: ignore[operator]
    assert {item for item in seen if item < 0} <= {~0}  # type: ignore[operator]  # repeated to keep in step
    assert {len(list(loader)) for loader in loaders} == {len(loaders[0])}, "ranks take the same number of turns"


def test_evaluation_batches_of_one_rank() -> None:
    loader = evaluation_loader(7, 2, Sharding(1, 2))
    assert list(loader) == [[1, 3], [5]]
    assert list(loader) == [[1, 3], [5]]  # every time
    assert list(evaluation_loader(5, 2, Sharding(1, 2))) == [[1, 3], [~0]]
