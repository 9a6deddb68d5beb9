"""Layers with adapters as the one weight that they stand for."""

from typing import Any

from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from tvg_lightning.policy.four_bit import Linear4bit, dequantize_4bit


def adapted_layers(module: nn.Module) -> dict[str, Any]:
    """The layers of a module that have adapters, by their names."""
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, LoraLayer)}


def merged_weight(layer: Any) -> Tensor:
    """W + alpha / r * B A of a layer with adapters, summed in float32, in the type of W.

    QLoRA's adapters were trained on the 4-bit weights, so W is what those stand for, not what the base was
    before: the merged policy answers as the trained one did.
    """
    whole = _whole(layer.get_base_layer())
    return (whole.float() + layer.get_delta_weight("default").float()).to(whole.dtype)


def _whole(layer: nn.Module) -> Tensor:
    """A layer's weight; of a 4-bit layer, the numbers that its codes stand for."""
    assert isinstance(layer, nn.Linear)
    if isinstance(layer, Linear4bit):
        return dequantize_4bit(layer.weight.data, layer.weight.quant_state)  # type: ignore[attr-defined]
    return layer.weight
