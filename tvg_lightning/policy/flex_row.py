"""Split attention through FlexAttention, for GPUs and head dimensions that the other kernels do not take.

One call for the whole row: which key a query sees follows from the prompt and the completion that both belong to, and
blocks of the row that hold no such pair are left out. Compiled at its first use on a device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention


@dataclass(frozen=True, slots=True)
class FlexRow:
    """The mask of a row of N tokens, block by block."""

    mask: BlockMask

    def attend(self, query_KNgD: Tensor, key_KND: Tensor, value_KND: Tensor, scaling: float) -> Tensor:
        """The output of every query, (K, N, g, D), with gradients."""
        query_1hND = query_KNgD.transpose(1, 2).flatten(0, 1)[None]
        is_compiled = query_KNgD.device.type == "cuda"
        found_1hND = (_compiled() if is_compiled else flex_attention)(
            query_1hND, key_KND[None], value_KND[None], block_mask=self.mask, scale=scaling, enable_gqa=True
        )
        return found_1hND[0].unflatten(0, query_KNgD.shape[::2]).transpose(1, 2)


def flex_row(
    prompts: Sequence[slice], answers: Sequence[slice], completions: Sequence[slice], device: torch.device
) -> FlexRow:
    """The mask of a row: every token sees its prompt and its own completion, both up to itself."""
    num_tokens = max(part.stop for part in (*prompts, *completions))
    prompt_N, completion_N = torch.zeros(num_tokens, dtype=torch.int32), torch.full((num_tokens,), -1)
    for number, prompt in enumerate(prompts):
        prompt_N[prompt] = number
        if answers:
            prompt_N[answers[number]] = number
    for number, own in enumerate(completions):
        completion_N[own] = number
    prompt_N, completion_N = prompt_N.to(device), completion_N.to(device)

    def seen(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        is_in_prompt = completion_N[key] == -1
        is_own = is_in_prompt | (completion_N[key] == completion_N[query])
        return (prompt_N[key] == prompt_N[query]) & is_own & (key <= query)

    return FlexRow(create_block_mask(seen, None, None, num_tokens, num_tokens, device=str(device)))


@cache
def _compiled() -> Any:
    """Compiled once for all lengths."""
    return torch.compile(flex_attention, dynamic=True)
