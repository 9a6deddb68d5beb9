"""Operations and times by hand."""

from dataclasses import replace
from typing import Any

import pytest

from tvg_lightning.oracle import OracleSettings
from tvg_lightning.plan.architecture import config_file, read_architecture
from tvg_lightning.plan.settings import PlanSettings
from tvg_lightning.plan.work import GPU, decoding_seconds, step_work

SETTINGS = PlanSettings(frames=8)


def test_a_step_of_7b_is_about_two_operations_a_weight_and_token() -> None:
    """6.5 G weights in the layers and 0.5 G in the head, which sees completions only."""
    found = step_work(read_architecture(config_file("qwen2_5_vl_7b"), SETTINGS), SETTINGS)
    layers, head = 6.525e9, 152_064 * 3584
    once = 2 * (layers * SETTINGS.row_tokens + head * SETTINGS.completion_tokens)
    assert found.loss_forward == pytest.approx(2 * once, rel=0.03), "with the reference's pass; the rest is attention"
    assert found.backward == found.loss_forward
    assert found.recompute == 0
    assert found.total == pytest.approx(sum((found.vision, found.prefill, found.decoding)) + 2 * found.loss_forward)


def test_what_checkpointing_and_the_reference_cost() -> None:
    architecture = read_architecture(config_file("tiny"), SETTINGS)
    plain = step_work(architecture, SETTINGS)
    assert step_work(architecture, replace(SETTINGS, reference=False)).loss_forward * 2 == plain.loss_forward
    assert step_work(architecture, replace(SETTINGS, gradient_checkpointing=True)).recompute * 2 == plain.loss_forward
    towers = replace(SETTINGS, gradient_checkpointing=True, train_vision_tower=True)
    assert step_work(architecture, towers).recompute == plain.loss_forward / 2 + plain.vision


def test_what_measuring_dependence_on_the_frames_costs() -> None:
    """The row once more, and every completion with its prompt: with one completion that is twice the same."""
    settings = replace(SETTINGS, reference=False, gradient_checkpointing=True, num_generations=1)
    architecture = read_architecture(config_file("tiny"), settings)
    plain, more = (step_work(architecture, replace(settings, frame_dependence=on)) for on in (False, True))
    assert more.loss_forward == pytest.approx(3 * plain.loss_forward)
    assert replace(more, loss_forward=plain.loss_forward) == plain, "nothing else"
    one, two = (
        step_work(architecture, replace(settings, frame_dependence=True, num_generations=num)).loss_forward
        - step_work(architecture, replace(settings, num_generations=num)).loss_forward * 2
        for num in (1, 2)
    )
    assert two == pytest.approx(2 * one), "a prompt for each completion"


def test_rows_that_are_pruned_cost_nothing_in_the_loss() -> None:
    """All 8 are sampled, and d is measured of them; the loss of the 4 rows that stay is that of 4 completions."""
    settings = replace(SETTINGS, reference=False, gradient_checkpointing=True)
    architecture = read_architecture(config_file("tiny"), settings)
    plain, half = (step_work(architecture, replace(settings, num_generations=num)) for num in (8, 4))
    pruned = step_work(architecture, replace(settings, oracle=OracleSettings()))
    assert pruned == replace(half, decoding=plain.decoding) != plain
    unpruned = step_work(architecture, replace(settings, oracle=OracleSettings(prune=0.0)))
    assert unpruned.loss_forward == step_work(architecture, replace(settings, num_generations=9)).loss_forward
    both = step_work(architecture, replace(settings, oracle=OracleSettings(), frame_dependence=True))
    measured = step_work(architecture, replace(settings, frame_dependence=True))
    assert both.loss_forward - pruned.loss_forward == pytest.approx(measured.loss_forward - plain.loss_forward)


def test_decoding_reads_all_weights_for_every_token() -> None:
    settings = PlanSettings(frames=2, max_tokens=1, text_tokens=9, num_generations=2, max_new_tokens=10)
    architecture = read_architecture(config_file("tiny"), settings)
    keys = 4 * 2 * 2 * 32 * 2 * (9 + 1 + 2 * 10 / 2)
    expected = 10 * (2 * architecture.total + keys) / 1e12
    assert decoding_seconds(architecture, settings, GPU(memory_tb_per_s=1.0)) == pytest.approx(expected)


@pytest.mark.parametrize("values", [{"mfu": 0.0}, {"mfu": 1.1}, {"peak_tflops": 0.0}, {"memory_tb_per_s": -1.0}])
def test_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        GPU(**values)
