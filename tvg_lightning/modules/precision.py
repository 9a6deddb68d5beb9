"""``trainer.precision``: the dtype of the products, and what Lightning's bf16-true is kept from doing."""

from contextlib import nullcontext
from typing import Any

import torch
from lightning.pytorch.plugins.precision import HalfPrecision


def compute_dtype(precision: str, weights: torch.dtype) -> torch.dtype:
    """The dtype of the policy's matrix products under a ``trainer.precision``, given that of its weights."""
    return torch.bfloat16 if precision == "bf16-mixed" else weights


def leave_to_the_policy(plugin: HalfPrecision) -> None:
    """Keep from Lightning's plugin that weights are cast, and nothing else.

    It would walk through the items of a batch to cast them, and make bfloat16 the type of every new tensor, such as
    rewards and log-probabilities. The policy casts what it reads, and names its types.
    """

    def as_it_is(data: Any) -> Any:
        return data

    plugin.convert_input = as_it_is  # type: ignore[method-assign]
    plugin.forward_context = nullcontext  # type: ignore[assignment, method-assign]
