"""Operation counts by hand, and against what torch counts in a real pass."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2_5_VLTextConfig, Qwen3VLTextConfig

from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.flops import head_flops, head_size, row_flops, step_flops
from tvg_lightning.policy.rows import EncodedPrompt, pack
from tvg_lightning.policy.split_attention import DenseAttention, dense_mask

TEXT = Qwen2_5_VLTextConfig(
    vocab_size=10, hidden_size=4, intermediate_size=6, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1
)


def test_a_row_by_hand() -> None:
    """Weights: query and output 16 each, key and value 8 each, MLP 3 * 24: 120, for 3 tokens 720 operations.

    Pairs: the prompt 1 + 2, the completion 2 + 1; 16 operations each: 96.
    """
    assert row_flops(TEXT, 2, [1]) == 720 + 96
    assert head_flops(TEXT, 3) == 240


def test_heads_may_be_wider_than_their_share_of_the_hidden_size() -> None:
    """Query and output 32 each, key and value 16 each, MLP 72: 168, for 3 tokens 1008; 6 pairs of 32 each: 192."""
    text = Qwen3VLTextConfig(
        vocab_size=10, hidden_size=4, intermediate_size=6, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=4,
    )  # fmt: skip
    assert (head_size(TEXT), head_size(text)) == (2, 4)
    assert row_flops(text, 2, [1]) == 1008 + 192


def test_a_step_by_hand() -> None:
    """A prompt of 2 tokens and two completions of 2, of which one is read while writing."""
    step = step_flops(TEXT, 0.0, [2], [[2, 2]])
    assert step.prefill == 2 * 240 + 3 * 16 + 80
    assert step.decode == 2 * 240 + 2 * 3 * 16 + 2 * 80
    assert step.loss == 6 * 240 + (3 + 2 * (4 + 3)) * 16 + 4 * 80
    assert step.backward == 2 * step.loss and step.vision == 0
    assert step.total == step.rollout + 3 * step.loss
    assert step_flops(TEXT, 0.0, [2], [[2, 2]], "lora", num_forwards=2).backward == step.loss


def test_products_are_those_that_torch_counts(tiny: PolicyBackbone, prompts: list[EncodedPrompt]) -> None:
    """Through the dense mask torch counts every pair; the products beside attention are the same to the last one."""
    prompt = prompts[0]
    row = pack([prompt], [[[20, 21], [22]]])
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        tiny.hidden_states(
            tiny.embed(row.input_ids_1N, tiny.video_features([prompt])),
            row.position_ids_31N,
            DenseAttention(dense_mask(row.layout)),
        )
    counts = counter.get_flop_counts()["Global"]
    products = sum(n for op, n in counts.items() if "attention" not in str(op) and "bmm" not in str(op))
    num_tokens, num_patches = len(prompt.input_ids) + 3, len(prompt.patches)
    text, vision = tiny.text_config, tiny.vision_config
    one_token = row_flops(text, 1, []) - 4 * text.num_hidden_layers * text.num_attention_heads * head_size(text)
    pairs = vision.depth * prompt.grid_thw[0] * (prompt.grid_thw[1] * prompt.grid_thw[2]) ** 2
    hidden = tiny.family.tower_sizes(vision).hidden_size
    tower = tiny.family.tower_flops(vision, prompt.grid_thw) - 4 * hidden * pairs  # a frame is one window here
    assert num_patches == 12
    assert products == pytest.approx(one_token * num_tokens + tower)


def test_known_features_cost_nothing(tiny: PolicyBackbone, prompts: list[EncodedPrompt]) -> None:
    known = replace(prompts[0], features=tiny.video_features(prompts[:1])[0])
    assert tiny.flops([prompts[0]], [[[20]]]).vision == tiny.family.tower_flops(tiny.vision_config, prompts[0].grid_thw)
    assert tiny.flops([known, prompts[1]], [[[20]], [[20]]]).vision == tiny.family.tower_flops(
        tiny.vision_config, prompts[1].grid_thw
    )
