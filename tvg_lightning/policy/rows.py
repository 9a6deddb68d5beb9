"""One row for a prompt and its G completions, blind to each other: (prompt, c1, …, cG).

The prompt is read once, whatever G is. Shape suffixes: B prompts, G completions of each, P longest prompt,
C longest completion, S = P + G * C the length of a row, 3 the axes of mRoPE.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A prompt ready for the model."""

    input_ids: Tensor  # (L,) long
    position_ids: Tensor  # (3, L) long
    patches: Tensor  # (N, 1176) uint8, the video as the tower reads it
    grid_thw: tuple[int, int, int]  # in patches


@dataclass(frozen=True, slots=True)
class PackedRows:
    """A batch of rows. Padding is right of every prompt and of every completion."""

    input_ids_BS: Tensor
    position_ids_3BS: Tensor
    may_attend_B1SS: Tensor  # bool: row of the query, column of the key
    predictor_BGC: Tensor  # the place in the row whose hidden state predicts completion token c
    target_BGC: Tensor  # completion tokens, 0 where padded
    mask_BGC: Tensor  # bool: True on real completion tokens


def pad_prompts(prompts: Sequence[EncodedPrompt], side: str) -> tuple[Tensor, Tensor, Tensor]:
    """Pad prompts on the "left" (for decoding) or "right". Returns ids (B, P), positions (3, B, P), mask (B, P)."""
    width = max(len(p.input_ids) for p in prompts)
    ids_BP = torch.zeros(len(prompts), width, dtype=torch.long)
    positions_3BP = torch.zeros(3, len(prompts), width, dtype=torch.long)
    mask_BP = torch.zeros(len(prompts), width, dtype=torch.bool)
    for b, prompt in enumerate(prompts):
        length = len(prompt.input_ids)
        place = slice(width - length, width) if side == "left" else slice(0, length)
        ids_BP[b, place] = prompt.input_ids
        positions_3BP[:, b, place] = prompt.position_ids
        mask_BP[b, place] = True
    return ids_BP, positions_3BP, mask_BP


def pack(prompts: Sequence[EncodedPrompt], completions: Sequence[Sequence[Sequence[int]]]) -> PackedRows:
    """Put every prompt and its completions (G lists of token ids each) into one row."""
    num_B, num_G = len(prompts), len(completions[0])
    assert all(len(group) == num_G for group in completions), "every prompt needs the same number of completions"
    num_C = max(len(completion) for group in completions for completion in group)
    ids_BP, positions_3BP, prompt_mask_BP = pad_prompts(prompts, "right")
    num_P = ids_BP.shape[1]

    target_BGC = torch.zeros(num_B, num_G, num_C, dtype=torch.long)
    mask_BGC = torch.zeros(num_B, num_G, num_C, dtype=torch.bool)
    for b, group in enumerate(completions):
        for g, completion in enumerate(group):
            target_BGC[b, g, : len(completion)] = torch.as_tensor(completion, dtype=torch.long)
            mask_BGC[b, g, : len(completion)] = True

    first_B = torch.stack([prompt.position_ids.max() + 1 for prompt in prompts])
    positions_BGC = (first_B[:, None, None] + torch.arange(num_C)).expand(num_B, num_G, num_C)
    ids_BS = torch.cat((ids_BP, target_BGC.flatten(1)), dim=1)
    positions_3BS = torch.cat((positions_3BP, positions_BGC.flatten(1).expand(3, num_B, num_G * num_C)), dim=2)

    prompt_length_B = prompt_mask_BP.sum(1)
    places_GC = num_P + torch.arange(num_G * num_C).reshape(num_G, num_C)
    last_B11 = (prompt_length_B - 1)[:, None, None].expand(num_B, num_G, 1)
    predictor_BGC = torch.cat((last_B11, places_GC[:, :-1].expand(num_B, num_G, num_C - 1)), dim=2)
    return PackedRows(
        ids_BS, positions_3BS, _who_may_attend(prompt_mask_BP, mask_BGC), predictor_BGC, target_BGC, mask_BGC
    )


def _who_may_attend(prompt_mask_BP: Tensor, mask_BGC: Tensor) -> Tensor:
    """Causal inside the prompt and inside each completion; completions see the prompt, never each other."""
    num_P = prompt_mask_BP.shape[1]
    num_G, num_C = mask_BGC.shape[1:]
    real_BS = torch.cat((prompt_mask_BP, mask_BGC.flatten(1)), dim=1)
    slot_S = torch.cat((torch.full((num_P,), -1), torch.arange(num_G).repeat_interleave(num_C)))
    order_S = torch.arange(num_P + num_G * num_C)
    causal_SS = order_S[:, None] >= order_S[None, :]
    related_SS = (slot_S[None, :] == -1) | (slot_S[:, None] == slot_S[None, :])
    allowed_BSS = causal_SS & related_SS & real_BS[:, None, :]
    # a padded query must attend to something, or its softmax is 0/0; nobody reads what it finds
    return (allowed_BSS | torch.eye(len(order_S), dtype=torch.bool))[:, None]
