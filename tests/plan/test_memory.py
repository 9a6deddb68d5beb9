"""The parts by hand, and what every change must do to them."""

from dataclasses import replace

import pytest

from tvg_lightning.plan import activations, memory
from tvg_lightning.plan.architecture import Architecture, config_file, read_architecture
from tvg_lightning.plan.settings import PlanSettings

SEVEN_B = PlanSettings()


def architecture(settings: PlanSettings = SEVEN_B) -> Architecture:
    return read_architecture(config_file("qwen2_5_vl_7b"), settings)


def test_what_lives_through_a_step_by_hand() -> None:
    """bfloat16: two bytes for every weight, gradient, reference and state; the tower has no gradient."""
    found = memory.phases(architecture(), SEVEN_B)["update"]
    trained = 7_615_616_512
    assert found.weights == 2 * 8_292_166_656
    assert (found.reference, found.optimizer, found.gradients) == (2 * trained, 4 * trained, 2 * trained)
    assert memory.phases(architecture(), replace(SEVEN_B, reference=False))["update"].reference == 0
    in_8_bits = memory.optimizer(architecture(), replace(SEVEN_B, optimizer="adamw_8bit"))
    assert in_8_bits == pytest.approx(2 * trained * (1 + 4 / 256))


def test_keys_and_values_by_hand() -> None:
    """28 layers, 2 * 4 * 128 numbers of 2 bytes; room for 64, 128, 256, 512 tokens of 8 completions."""
    found = memory.phases(architecture(), replace(SEVEN_B, max_new_tokens=300))["rollout"]
    assert found.keys_values == (7980 + 8 * 512) * 28 * 1024 * 2


def test_fsdp_cuts_and_gathers() -> None:
    cut = replace(SEVEN_B, strategy="fsdp", gpus=16)
    whole, parts = memory.phases(architecture(), SEVEN_B), memory.phases(architecture(), cut)
    assert parts["update"].weights * 16 == whole["update"].weights
    assert parts["update"].gradients * 16 == whole["update"].gradients
    assert parts["rollout"].temporary - whole["rollout"].temporary == whole["rollout"].weights
    gathered = 2 * (2 * architecture().layer + 2 * architecture().head)
    assert parts["backward ends"].temporary - whole["backward ends"].temporary == gathered


def test_a_copy_on_every_gpu_needs_what_one_needs() -> None:
    """DDP's buckets are the gradients (``gradient_as_bucket_view``), no second copy of them."""
    ddp = replace(SEVEN_B, strategy="ddp", gpus=2)
    assert memory.peak(architecture(), ddp) == memory.peak(architecture(), SEVEN_B)


def test_checkpointing_trades_activations_for_one_layer() -> None:
    thrifty = replace(SEVEN_B, gradient_checkpointing=True)
    plain, found = (memory.phases(architecture(), s)["backward begins"] for s in (SEVEN_B, thrifty))
    text = architecture().text
    saved = 28 * (activations.decoder_layer(text, SEVEN_B) - 12_076 * 3584 * 2)
    assert plain.activations - found.activations == saved
    # the head's gradient and what comes and goes stand beside it either way
    assert found.temporary - plain.temporary == activations.decoder_layer(text, SEVEN_B)


def test_a_trained_tower_is_kept_from_the_rollout_to_the_end_of_the_backward_pass() -> None:
    tuned = replace(SEVEN_B, train_vision_tower=True, train_merger=True)
    found = memory.phases(architecture(tuned), tuned)
    assert found["rollout"].activations == found["backward ends"].activations - 12_076 * 3584 * 2 > 2**30
    assert found["update"].activations == 0
    assert memory.phases(architecture(), SEVEN_B)["rollout"].activations == 0


@pytest.mark.parametrize("tuning", ["lora", "qlora"])
def test_adapters_need_less(tuning: str) -> None:
    adapters = replace(SEVEN_B, tuning=tuning)  # type: ignore[arg-type]
    found = memory.phases(architecture(adapters), adapters)["update"]
    assert found.optimizer == 2 * 40_370_176 * 4  # float32, whatever the weights are
    assert found.gradients == found.reference == 40_370_176 * 4
    casts = 40_370_176 * 2
    assert memory.casts(architecture(adapters), adapters) == casts
    assert memory.casts(architecture(adapters), replace(adapters, dtype="float32")) == 0
    billions = found.weights / 1e9
    assert billions == pytest.approx(16.75 if tuning == "lora" else 7.06, abs=0.01)


def test_the_embeddings_gradient_stands_beside_the_heads_where_they_are_tied() -> None:
    """With one token a layer is small beside 1,024 x 128 numbers of 4 bytes."""
    short = replace(SEVEN_B, dtype="float32", frames=2, max_pixels=784, text_tokens=1, max_new_tokens=1)
    tiny = read_architecture(config_file("tiny"), short)
    assert memory.phases(tiny, short)["backward ends"].temporary == 1024 * 128 * 4
