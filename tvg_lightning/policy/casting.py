"""Weights under mixed precision: kept in float32, and cast for every product they are in.

Training makes two or three products of a weight a step, a rollout as many as it has tokens. So a rollout casts its
weights once: the same numbers, but a quarter of the memory traffic where decoding is bound by reading weights.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tvg_lightning.policy.backbone import PolicyBackbone


@contextmanager
def cast_once(policy: PolicyBackbone) -> Iterator[Tensor]:
    """Cast the language model's matrices to autocast's type for a while; yields the head in it. Idle without autocast.

    Only what autocast would cast itself: norms and embeddings stay. The head is a copy, for it may be the embedding.
    """
    kind = policy.device.type
    if not torch.is_autocast_enabled(kind):
        yield policy.head
        return
    dtype = torch.get_autocast_dtype(kind)
    kept = [place for place in _matrices(policy) if place[2].dtype == torch.float32]
    # another parameter in its place: one whose own data changed type would lose what DDP has hung on its gradient
    for module, name, weight in kept:
        module.register_parameter(name, nn.Parameter(weight.detach().to(dtype), requires_grad=False))
    try:
        yield policy.head.to(dtype)
    finally:
        for module, name, weight in kept:
            module.register_parameter(name, weight)


def _matrices(policy: PolicyBackbone) -> Iterator[tuple[nn.Module, str, nn.Parameter]]:
    """Weights and biases of the decoder layers' projections, adapters too, and where each of them is."""
    for module in policy.model.model.language_model.layers.modules():
        if isinstance(module, nn.Linear):
            for name, weight in module.named_parameters(recurse=False):
                yield module, name, weight
