"""A layer with adapters and the one weight in its place make the same of any input."""

import pytest
import torch

from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.merging import adapted_layers, merged_weight
from tvg_lightning.policy.settings import PolicySettings, Tuning


@pytest.mark.parametrize("tuning", ["lora", "qlora"])
def test_one_weight_for_base_and_adapters(tuning: Tuning) -> None:
    policy = PolicyBackbone(PolicySettings(tuning=tuning, lora_alpha=8)).eval()
    layers = adapted_layers(policy.model)
    assert len(layers) == 7 * policy.text_config.num_hidden_layers
    layer = layers["model.language_model.layers.0.mlp.down_proj"]
    torch.nn.init.normal_(layer.lora_B["default"].weight, std=0.1)
    x = torch.randn(4, layer.in_features)
    with torch.no_grad():
        torch.testing.assert_close(x @ merged_weight(layer).T, layer(x), rtol=1e-4, atol=1e-4)
        difference = merged_weight(layer) - layer.get_delta_weight("default")
        layer.lora_B["default"].weight.zero_()
        torch.testing.assert_close(difference, merged_weight(layer), rtol=1e-5, atol=1e-5)
