"""The random numbers of a rollout belong to the question, not to the batch it is in."""

import torch

from tvg_lightning.modules.step import StepContext

CONTEXT = StepContext(seed=0, stage="explore", step=0, epoch=0)


def test_numbers_follow_from_the_position_whatever_the_batch() -> None:
    together = CONTEXT.uniforms([3, 9, 4], num_generations=2, length=5)
    alone = CONTEXT.uniforms([9], num_generations=2, length=5)
    assert together.shape == (6, 5) and together.dtype == torch.float64
    assert torch.equal(together[2:4], alone)
    assert torch.equal(CONTEXT.uniforms([4, 9], 2, 5)[2:], alone)


def test_numbers_do_not_depend_on_when_and_where_the_step_is_taken() -> None:
    elsewhere = StepContext(seed=0, stage="explore", step=7, epoch=3, world_size=4)
    assert torch.equal(elsewhere.uniforms([9], 2, 5), CONTEXT.uniforms([9], 2, 5))


def test_seeds_stages_positions_and_generations_differ() -> None:
    rows = [
        StepContext(seed, stage, 0, 0).uniforms([position], 2, 5)
        for seed in (0, 1)
        for stage in ("explore", "refine")
        for position in (0, 1)
    ]
    numbers = torch.cat(rows)
    assert len(numbers.unique(dim=0)) == 16


def test_numbers_are_uniform() -> None:
    numbers = CONTEXT.uniforms(list(range(100)), 8, 20)
    assert bool(((numbers >= 0) & (numbers < 1)).all())
    counts = torch.histc(numbers, 10, 0.0, 1.0)  # 16,000 in ten bins: 1,600 each, standard deviation 38
    assert bool(((counts - 1600).abs() < 190).all())


def test_the_global_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    CONTEXT.uniforms([1, 2], 2, 3)
    assert torch.equal(torch.random.get_rng_state(), before)
