"""The operations that a GRPO step needs at least, counted from the architecture and the lengths.

Matrix products and attention only, two operations a multiply-add; every video encoded once, every prompt read once
for the rollout and once for each loss, completions blind to each other. What is measured against it is work
done twice, padding, memory traffic and overhead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    text: Any,
    tower: float,
    prompt_lengths: Sequence[int],
    completion_lengths: Sequence[Sequence[int]],
    tuning: Tuning = "full",
    train_vision_tower: bool = False,
    num_forwards: int = 1,
    num_backwards: int = 1,
) -> StepFlops:
    """Operations of one step over B prompts with G completions each; lengths in tokens.

    ``text``: the language model's config. ``tower``: operations of the tower over all videos (``Family.tower_flops``).
    ``num_forwards`` counts passes over the rows: updates, plus one for old and one for reference log-probs.
    A backward pass costs two forward passes; one where only adapters are trained, whose own cost is left out.
    """
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


def row_flops(text: Any, prompt: int, completions: Sequence[int]) -> float:
    """One forward pass of the language model, without its head, over a prompt and its completions."""
    num_D, num_A, num_K = head_size(text), text.num_attention_heads, text.num_key_value_heads
    attention = text.hidden_size * num_D * 2 * (num_A + num_K)
    weights = text.num_hidden_layers * (attention + 3 * text.hidden_size * text.intermediate_size)
    pairs = prompt * (prompt + 1) / 2 + sum(n * prompt + n * (n + 1) / 2 for n in completions)
    return 2.0 * weights * (prompt + sum(completions)) + 4.0 * text.num_hidden_layers * num_A * num_D * pairs


def head_flops(text: Any, num_tokens: int) -> float:
    """Logits of so many tokens."""
    return 2.0 * text.hidden_size * text.vocab_size * num_tokens


def head_size(text: Any) -> int:
    """Numbers of an attention head: the config's own ``head_dim``, or hidden size / heads where it has none."""
    return int(vars(text).get("head_dim") or text.hidden_size // text.num_attention_heads)
