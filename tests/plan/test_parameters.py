"""What follows from the parameters, by hand: a 7B of 8.3 billion parameters, of which the tower's are not trained."""

from dataclasses import replace

import pytest

from tvg_lightning.plan import parameters
from tvg_lightning.plan.architecture import Architecture, config_file, read_architecture
from tvg_lightning.plan.settings import PlanSettings, Precision

SEVEN_B = PlanSettings()
TOTAL, TRAINED, ADAPTERS = 8_292_166_656, 7_615_616_512, 40_370_176
HEAD = 152_064 * 3584
DOWN = 18_944 * 3584
MATRICES = 2 * 3584 * 3584 + 2 * 512 * 3584 + 3 * DOWN  # of one layer


def architecture(settings: PlanSettings = SEVEN_B) -> Architecture:
    return read_architecture(config_file("qwen2_5_vl_7b"), settings)


@pytest.mark.parametrize(("precision", "e"), [("32-true", 4), ("bf16-mixed", 4), ("bf16-true", 2)])
def test_what_lives_through_a_step(precision: Precision, e: int) -> None:
    """Mixed precision keeps all of it in float32."""
    settings = replace(SEVEN_B, precision=precision)
    assert parameters.weights(architecture(settings), settings) == e * TOTAL
    assert parameters.trained(architecture(settings), settings) == e * TRAINED
    assert parameters.optimizer(architecture(settings), settings) == 2 * e * TRAINED
    in_8_bits = parameters.optimizer(architecture(), replace(settings, optimizer="adamw_8bit"))
    assert in_8_bits == pytest.approx(2 * TRAINED * (1 + 4 / 256))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
def test_shards_are_a_share(precision: Precision) -> None:
    whole = replace(SEVEN_B, precision=precision)
    cut = replace(whole, strategy="fsdp", gpus=16)
    for part in (parameters.weights, parameters.trained, parameters.optimizer):
        assert part(architecture(cut), cut) * 16 == part(architecture(whole), whole)


@pytest.mark.parametrize(("tuning", "billions"), [("lora", 16.75), ("qlora", 7.06)])
def test_adapters_lie_on_bfloat16(tuning: str, billions: float) -> None:
    """They themselves are in float32, and so are their states; bf16-true casts them like all else."""
    settings = replace(SEVEN_B, tuning=tuning)  # type: ignore[arg-type]
    assert parameters.weights(architecture(settings), settings) / 1e9 == pytest.approx(billions, abs=0.01)
    assert parameters.optimizer(architecture(settings), settings) == 2 * ADAPTERS * 4
    in_bfloat16 = replace(settings, precision="bf16-true")
    assert parameters.trained(architecture(in_bfloat16), in_bfloat16) == ADAPTERS * 2


def test_what_is_cast() -> None:
    """A rollout casts all matrices of the layers and the head; the graph keeps all but the MLPs' last."""
    assert parameters.rollout_copies(architecture(), SEVEN_B) == 2 * (28 * MATRICES + HEAD)
    assert parameters.loss_copies(architecture(), SEVEN_B, 28) == 2 * 28 * (MATRICES - DOWN)
    assert parameters.loss_copies(architecture(), SEVEN_B) == 2 * (MATRICES - DOWN)
    assert parameters.cast_head(architecture(), SEVEN_B) == 2 * HEAD
    lora = replace(SEVEN_B, tuning="lora")
    assert parameters.rollout_copies(architecture(lora), lora) == 2 * ADAPTERS
    kept = ADAPTERS - 28 * 16 * (18_944 + 3584)
    assert parameters.loss_copies(architecture(lora), lora, 28) == 2 * kept
    assert parameters.cast_head(architecture(lora), lora) == 0
    for precision in ("32-true", "bf16-true"):
        plain = replace(SEVEN_B, precision=precision)
        assert parameters.rollout_copies(architecture(plain), plain) == 0
        assert parameters.loss_copies(architecture(plain), plain, 28) == 0


def test_what_is_cast_of_a_trained_tower() -> None:
    """The merger's two matrices; of 32 blocks all but the MLPs' last, unless they are checkpoints."""
    settings = replace(SEVEN_B, train_vision_tower=True, train_merger=True)
    merger = 5120 * 5120 + 5120 * 3584
    blocks = 32 * (4 * 1280 * 1280 + 2 * 1280 * 3420)
    assert parameters.loss_copies(architecture(settings), settings, 0) == 2 * (merger + blocks)
    thrifty = replace(settings, gradient_checkpointing=True)
    assert parameters.loss_copies(architecture(thrifty), thrifty, 0) == 2 * merger


@pytest.mark.parametrize(("precision", "e"), [("32-true", 4), ("bf16-mixed", 2), ("bf16-true", 2)])
def test_what_is_gathered(precision: Precision, e: int) -> None:
    """In the type of the products; beside layers and blocks there are embedding, head, and the tower's two ends."""
    cut = replace(SEVEN_B, precision=precision, strategy="fsdp", gpus=16)
    layer = MATRICES + 3584 + 2 * 512 + 2 * 3584  # with biases and norms
    merger = 5120 * 5120 + 5120 + 5120 * 3584 + 3584 + 1280
    root = 2 * HEAD + 3584 + merger + 1176 * 1280
    assert parameters.loss_copies(architecture(cut), cut) == e * (2 * layer + root)
    assert parameters.rollout_copies(architecture(cut), cut) == e * TOTAL
    assert parameters.head_gradient(architecture(cut), cut) == e * HEAD
    assert parameters.summed(10, cut) == 10 * (e + 4)
    assert parameters.summed(10, SEVEN_B) == 0 and parameters.head_gradient(architecture(), SEVEN_B) == 4 * HEAD
