"""Counts of the meta device against real weights and published numbers."""

from pathlib import Path

import pytest

from tvg_lightning.plan.architecture import NF4_BYTES, config_file, read_architecture
from tvg_lightning.plan.settings import PlanSettings
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.loading import TINY_FOLDER
from tvg_lightning.policy.settings import PolicySettings, Tuning


@pytest.mark.parametrize("tuning", ["full", "lora", "qlora"])
def test_the_tiny_policy_is_counted_as_it_is(tuning: Tuning) -> None:
    found = read_architecture(config_file("tiny"), PlanSettings(tuning=tuning, precision="32-true"))
    policy = PolicyBackbone(PolicySettings(tuning="full" if tuning == "full" else "lora"))
    assert found.total == sum(p.numel() for p in policy.parameters())
    assert found.trained == sum(p.numel() for p in policy.parameters() if p.requires_grad)
    assert found.head == 1024 * 128 and found.tied
    quantized = 4 * (2 * 128 * 128 + 2 * 128 * 64 + 3 * 128 * 384)
    assert found.quantized == (quantized if tuning == "qlora" else 0)


def test_4_bit_weights_are_as_large_as_bitsandbytes_makes_them() -> None:
    """Of one layer of a real QLoRA policy: packed codes, and both levels of scales."""
    policy = PolicyBackbone(PolicySettings(tuning="qlora"))
    weight = policy.model.model.language_model.layers[0].mlp.gate_proj.base_layer.weight
    state = weight.quant_state
    found = weight.nbytes + state.absmax.nbytes + state.state2.absmax.nbytes
    assert found == pytest.approx(128 * 384 * NF4_BYTES)


def test_7b() -> None:
    found = read_architecture(config_file("qwen2_5_vl_7b"), PlanSettings())
    assert found.total == 8_292_166_656 and not found.tied
    assert found.head == found.largest_trained == 152_064 * 3584
    assert found.layer == 2 * 3584 + 3584 * 3584 * 2 + 3584 * 512 * 2 + 3584 + 2 * 512 + 3 * 3584 * 18944
    assert found.weight_bytes(2) == 2 * found.total
    assert found.root == 2 * found.head + 3584 + 1176 * 1280 + 1280 + 5120 * (5120 + 3584) + 5120 + 3584
    assert found.root_trained == 2 * found.head + 3584 and found.layer_trained == found.layer


def test_where_an_architecture_is_found(tmp_path: Path) -> None:
    assert config_file("tiny") == config_file(str(TINY_FOLDER)) == config_file(str(TINY_FOLDER / "config.json"))
    with pytest.raises(ValueError, match="qwen2_5_vl_3b, qwen2_5_vl_7b"):
        config_file("qwen9")
    with pytest.raises(ValueError, match="--policy"):
        config_file(str(tmp_path))
