"""The operations that a GRPO step needs at least, counted from the architecture and the lengths.

Matrix products and attention only, two operations a multiply-add; every video encoded once, every prompt read once
for the rollout and once for each loss, completions blind to each other. What is measured against it is work
done twice, padding, memory traffic and overhead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import Qwen2_5_VLTextConfig
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig

from tvg_lightning.policy.settings import Tuning


@dataclass(frozen=True, slots=True)
class StepFlops:
    """Operations by phase."""

    vision: float  # tower and merger
    prefill: float  # prompts, for the rollout
    decode: float  # completions, token by token
    loss: float  # all forward passes over the rows
    backward: float

    @property
    def rollout(self) -> float:
        return self.prefill + self.decode

    @property
    def total(self) -> float:
        return self.vision + self.rollout + self.loss + self.backward


def step_flops(
    text: Qwen2_5_VLTextConfig,
    vision: Qwen2_5_VLVisionConfig,
    grids_thw: Sequence[tuple[int, int, int]],
    prompt_lengths: Sequence[int],
    completion_lengths: Sequence[Sequence[int]],
    tuning: Tuning = "full",
    train_vision_tower: bool = False,
    num_forwards: int = 1,
    num_backwards: int = 1,
) -> StepFlops:
    """Operations of one step over B prompts with G completions each; grids in patches, lengths in tokens.

    ``num_forwards`` counts passes over the rows: updates, plus one for old and one for reference log-probs.
    A backward pass costs two forward passes; one where only adapters are trained, whose own cost is left out.
    """
    tower = sum(tower_flops(vision, grid) for grid in grids_thw)
    prefill = decode = 0.0
    for prompt, completions in zip(prompt_lengths, completion_lengths, strict=True):
        prefill += row_flops(text, prompt, []) + head_flops(text, 1)
        # the last token of a completion is chosen, but not read any more
        unread = [length - 1 for length in completions]
        decode += row_flops(text, prompt, unread) - row_flops(text, prompt, []) + head_flops(text, sum(unread))
    row = sum(map(row_flops, [text] * len(prompt_lengths), prompt_lengths, completion_lengths))
    forward = row + head_flops(text, sum(map(sum, completion_lengths)))
    backward = num_backwards * (2 if tuning == "full" else 1) * forward
    backward += 2 * tower if train_vision_tower else 0
    return StepFlops(tower, prefill, decode, num_forwards * forward, backward)


def row_flops(text: Qwen2_5_VLTextConfig, prompt: int, completions: Sequence[int]) -> float:
    """One forward pass of the language model, without its head, over a prompt and its completions."""
    head_size = text.hidden_size // text.num_attention_heads
    assert text.num_key_value_heads is not None
    attention = text.hidden_size * head_size * 2 * (text.num_attention_heads + text.num_key_value_heads)
    weights = text.num_hidden_layers * (attention + 3 * text.hidden_size * text.intermediate_size)
    pairs = prompt * (prompt + 1) / 2 + sum(n * prompt + n * (n + 1) / 2 for n in completions)
    return 2.0 * weights * (prompt + sum(completions)) + 4.0 * text.num_hidden_layers * text.hidden_size * pairs


def head_flops(text: Qwen2_5_VLTextConfig, num_tokens: int) -> float:
    """Logits of so many tokens."""
    return 2.0 * text.hidden_size * text.vocab_size * num_tokens


def tower_flops(vision: Qwen2_5_VLVisionConfig, grid_thw: tuple[int, int, int]) -> float:
    """One forward pass of the vision tower and its merger over one video."""
    num_t, num_h, num_w = grid_thw
    num_patches, hidden = num_t * num_h * num_w, vision.hidden_size
    patch_size, num_frames = vision.patch_size, vision.temporal_patch_size
    assert isinstance(patch_size, int) and isinstance(num_frames, int)
    patch = vision.in_channels * num_frames * patch_size**2
    blocks = vision.depth * (4 * hidden**2 + 3 * hidden * vision.intermediate_size)
    merged = hidden * vision.spatial_merge_size**2
    merger = merged * (merged + vision.out_hidden_size) / vision.spatial_merge_size**2
    num_full = len(vision.fullatt_block_indexes)
    window = vision.window_size // patch_size
    pairs_full = num_t * (num_h * num_w) ** 2
    pairs_window = num_t * _squares(num_h, window) * _squares(num_w, window)
    pairs = num_full * pairs_full + (vision.depth - num_full) * pairs_window
    return 2.0 * (patch * hidden + blocks + merger) * num_patches + 4.0 * hidden * pairs


def _squares(length: int, window: int) -> int:
    """The sum of the squares of the windows that a side is cut into.

    >>> _squares(20, 8)  # 8 + 8 + 4
    144
    """
    return length // window * window**2 + (length % window) ** 2
