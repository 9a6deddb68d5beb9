"""The language model's weights for an engine, by the names of a published checkpoint, one layer whole at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.merging import adapted_layers, merged_weight

_MODEL = "model.language_model."
_HEAD = "lm_head.weight"
_PADDED_TO = 64  # vLLM's vocabularies are multiples of it


def engine_weights(policy: PolicyBackbone) -> Iterator[tuple[str, Tensor]]:
    """Names and weights of the language model and its head; adapters are merged, shards gathered layer by layer.

    All processes of a sharded policy must take them all. A head that is tied to the embedding
    comes twice, under both names.
    """
    language_model = policy.model.model.language_model
    for number, layer in enumerate(language_model.layers):
        with _whole(layer):
            yield from _weights(layer, f"{_MODEL}layers.{number}.")
    with _whole(policy):  # whatever is in no layer is in the root's group
        yield from _weights(language_model.norm, f"{_MODEL}norm.")
        for name, weight in (
            (f"{_MODEL}embed_tokens.weight", language_model.embed_tokens.weight),
            (_HEAD, policy.head),
        ):
            # vLLM pads the vocabulary, and reads what it pads when it has all weights: this group is shards by then
            is_read_later = isinstance(policy, FSDPModule) and len(weight) % _PADDED_TO
            yield name, weight.detach().clone() if is_read_later else weight.detach()


@contextmanager
def _whole(group: nn.Module) -> Iterator[None]:
    """Whole weights of one group of FSDP2's for a while; nothing to do without shards."""
    if not isinstance(group, FSDPModule):
        yield
        return
    group.unshard()
    try:
        yield
    finally:
        group.reshard()


def _weights(module: nn.Module, prefix: str) -> Iterator[tuple[str, Tensor]]:
    adapted = adapted_layers(module)
    for name, weight in module.named_parameters():
        if not any(name.startswith(f"{layer}.") for layer in adapted):
            yield prefix + name, weight.detach()
    for name, layer in adapted.items():
        with torch.no_grad():
            yield f"{prefix}{name}.weight", merged_weight(layer)
        if (bias := layer.get_base_layer().bias) is not None:
            yield f"{prefix}{name}.bias", bias.detach()
