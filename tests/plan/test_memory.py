"""The phases by hand, and what every change must do to them."""

from dataclasses import replace

import pytest

from tvg_lightning.oracle import OracleSettings
from tvg_lightning.plan import activations, memory, parameters
from tvg_lightning.plan.architecture import Architecture, config_file, read_architecture
from tvg_lightning.plan.settings import PlanSettings

SEVEN_B = PlanSettings()
ROW = 12_076  # tokens
HEAD = 152_064 * 3584


def architecture(settings: PlanSettings = SEVEN_B) -> Architecture:
    return read_architecture(config_file("qwen2_5_vl_7b"), settings)


def phases(settings: PlanSettings) -> dict[str, memory.Held]:
    return memory.phases(architecture(settings), settings)


def test_keys_and_values_by_hand() -> None:
    """28 layers, 2 * 4 * 128 numbers of 2 bytes; room for 64, 128, 256, 512 tokens of 8 completions."""
    found = phases(replace(SEVEN_B, max_new_tokens=300))["rollout"]
    assert found.keys_values == (7980 + 8 * 512) * 28 * 1024 * 2


def test_a_reference_only_where_there_is_a_kl() -> None:
    assert phases(SEVEN_B)["update"].reference == 4 * 7_615_616_512
    assert phases(replace(SEVEN_B, reference=False))["update"].reference == 0


def test_rows_that_are_pruned_are_sampled_and_not_kept_for_the_backward_pass() -> None:
    plain = replace(SEVEN_B, reference=False)
    pruned, all_8, all_4 = (
        phases(settings)
        for settings in (replace(plain, oracle=OracleSettings()), plain, replace(plain, num_generations=4))
    )
    assert pruned["rollout"] == all_8["rollout"] != all_4["rollout"]
    assert pruned["backward begins"] == all_4["backward begins"] != all_8["backward begins"]
    assert pruned["backward ends"] == all_4["backward ends"]


def test_the_head_by_hand() -> None:
    """Its gradient in float32, and of a chunk in bfloat16, beside the chunk's of logits; the head in bfloat16."""
    long, chunk = replace(SEVEN_B, text_tokens=1, frames=2, max_tokens=1), 512 * 152_064
    short = replace(long, max_new_tokens=64)
    assert phases(short)["backward begins"].temporary == (2 + 4 + 2) * HEAD + 6 * chunk
    assert phases(replace(long, logits_chunk=4096))["backward begins"].temporary == 8 * HEAD + 6 * 8 * chunk
    assert phases(replace(short, precision="32-true"))["backward begins"].temporary == 4 * HEAD + 4 * chunk
    assert phases(replace(short, precision="bf16-true"))["backward begins"].temporary == (4 + 2) * HEAD + 6 * chunk
    assert phases(replace(short, tuning="lora"))["backward begins"].temporary == 8 * chunk


def test_shards_are_summed_whole() -> None:
    """At the first layer, its and the head's gradients; at the end embedding and head, when all weights are let go."""
    cut = replace(SEVEN_B, strategy="fsdp", gpus=16)
    found, text, layer = phases(cut)["backward ends"], architecture().text, architecture().layer
    row = activations.decoder_layer(text, cut) + activations.decoder_layer_backward(text, cut)
    assert found.copies == 2 * (2 * layer + architecture().root)
    assert found.temporary == row + 2 * HEAD + (2 + 4) * layer
    short = phases(replace(cut, text_tokens=1, frames=2, max_tokens=1, max_new_tokens=1))["backward ends"]
    assert short.temporary == (2 + 4) * (2 * HEAD + 3584) and short.copies == 0


@pytest.mark.parametrize("values", [{"strategy": "ddp", "gpus": 2}, {"accumulate_grad_batches": 2}])
def test_gradients_that_stay(values: dict[str, object]) -> None:
    """In DDP's buckets (``gradient_as_bucket_view``), or from batch to batch: in every phase, but once."""
    kept, plain = phases(replace(SEVEN_B, **values)), phases(SEVEN_B)  # type: ignore[arg-type]
    gradients = 4 * 7_615_616_512
    assert [held.gradients for held in kept.values()] == [gradients] * 4
    assert [held.gradients for held in plain.values()] == [0, 0, gradients, gradients]


def test_checkpointing_trades_activations_for_one_layer() -> None:
    thrifty = replace(SEVEN_B, gradient_checkpointing=True)
    plain, found = (phases(s)["backward begins"] for s in (SEVEN_B, thrifty))
    layer = activations.decoder_layer(architecture().text, SEVEN_B)
    assert plain.activations - found.activations == 28 * (layer - ROW * 3584 * 4)
    assert plain.copies == 28 * found.copies
    backward = activations.decoder_layer_backward(architecture().text, SEVEN_B)
    assert found.temporary == 4 * HEAD + layer + backward > 8 * HEAD + 6 * 512 * 152_064 == plain.temporary


def test_a_trained_tower_is_kept_from_the_rollout_to_the_end_of_the_backward_pass() -> None:
    tuned = replace(SEVEN_B, train_vision_tower=True, train_merger=True)
    found = phases(tuned)
    assert found["rollout"].activations == found["backward ends"].activations - ROW * 3584 * 4 > 2**30
    cast = parameters.loss_copies(architecture(tuned), tuned, 0)
    assert found["rollout"].copies == parameters.rollout_copies(architecture(), SEVEN_B) + cast
    assert found["update"].activations == found["update"].copies == 0
    assert phases(SEVEN_B)["rollout"].activations == 0


def test_the_embeddings_gradient_stands_beside_the_heads_where_they_are_tied() -> None:
    """With one token a layer is small beside 1,024 x 128 numbers of 4 bytes."""
    short = replace(SEVEN_B, frames=2, max_tokens=1, text_tokens=1, max_new_tokens=1)
    tiny = read_architecture(config_file("tiny"), short)
    assert memory.phases(tiny, short)["backward ends"].temporary == 1024 * 128 * 4
    ddp = replace(short, strategy="ddp")
    assert memory.phases(tiny, ddp)["backward ends"].temporary == 2 * 1024 * 128 * 4


def test_deepstacks_features_lie_beside_a_row_that_is_read() -> None:
    """64 x 8 x 15 video tokens of 4 x 2560 numbers in bfloat16, in prefill and until the loss is there."""
    settings = replace(SEVEN_B, tuning="lora", side=32, logits_chunk=4096)
    policy = read_architecture(config_file("qwen3_vl_4b"), settings)
    found, added = memory.phases(policy, settings), settings.video_tokens * 4 * 2560 * 2
    assert settings.video_tokens == 7680 and activations.added_features(policy.text, policy.tower, settings) == added
    assert found["rollout"].temporary == activations.prefill(policy.text, settings.prompt_tokens, settings) + added
    assert found["backward begins"].temporary == activations.logits_forward(policy.text, settings) + added
