"""The words of trainer.strategy."""

import pytest
from lightning.pytorch.strategies import DDPStrategy

from tvg_lightning.modules.strategies import ShardedStrategy, strategy_of


def test_the_words_that_mean_something_else_here() -> None:
    assert isinstance(strategy_of("fsdp"), ShardedStrategy)
    ddp = strategy_of("ddp")
    assert isinstance(ddp, DDPStrategy) and ddp._ddp_kwargs == {"gradient_as_bucket_view": True}
    with pytest.raises(ValueError, match=r"is FSDP1: take fsdp, and policy\.cpu_offload"):
        strategy_of("fsdp_cpu_offload")


def test_all_else_is_left_to_lightning() -> None:
    assert strategy_of("auto") is None and strategy_of(DDPStrategy()) is None
