"""Of bf16-true nothing is left but the cast of the weights."""

import torch
from lightning.pytorch.plugins.precision import HalfPrecision
from torch import nn

from tvg_lightning.modules.precision import leave_to_the_policy


def test_weights_are_cast_and_nothing_else() -> None:
    plugin, batch = HalfPrecision("bf16-true"), [torch.ones(2)]
    assert plugin.convert_input(batch)[0].dtype == torch.bfloat16, "what Lightning does by itself"
    with plugin.forward_context():
        assert torch.zeros(1).dtype == torch.bfloat16
    leave_to_the_policy(plugin)
    assert plugin.convert_input(batch) is batch and batch[0].dtype == torch.float32
    with plugin.forward_context():
        assert torch.zeros(1).dtype == torch.float32
    assert plugin.convert_module(nn.Linear(2, 2)).weight.dtype == torch.bfloat16
