"""``trainer.precision: bf16-true``, of which Lightning does more than this project wants."""

from contextlib import nullcontext
from typing import Any

from lightning.pytorch.plugins.precision import HalfPrecision


def leave_to_the_policy(plugin: HalfPrecision) -> None:
    """Keep from Lightning's plugin that weights are cast, and nothing else.

    It would walk through the items of a batch to cast them, and make bfloat16 the type of every new tensor, such as
    rewards and log-probabilities. The policy casts what it reads, and names its types.
    """

    def as_it_is(data: Any) -> Any:
        return data

    plugin.convert_input = as_it_is  # type: ignore[method-assign]
    plugin.forward_context = nullcontext  # type: ignore[assignment, method-assign]
