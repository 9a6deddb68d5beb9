"""One row without padding for a batch: B prompts, then the G completions of each, blind to each other.

A prompt is read once, whatever G is; ``split_attention`` decides which token sees which. Shape suffixes: B prompts,
G completions of each, C longest completion, N tokens of the row, M tokens of all completions, 3 the axes of
mRoPE.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tvg_lightning.policy.split_attention import RowLayout, row_layout


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A prompt ready for the model."""

    input_ids: Tensor  # (L,) long
    position_ids: Tensor  # (3, L) long
    patches: Tensor  # (N, numbers of a patch) uint8, the video as the tower reads it
    grid_thw: tuple[int, int, int]  # in patches
    features: Tensor | None = None  # the video's, from a cache; then there are no patches
    keep: Callable[[Tensor], None] | None = None  # takes the features into the cache

    @property
    def next_position(self) -> int:
        """The mRoPE id of the first completion token, the same on all three axes."""
        return int(self.position_ids.max()) + 1


@dataclass(frozen=True, slots=True)
class PackedRow:
    """Prompts and completions as the model reads them, and where it predicts what."""

    input_ids_1N: Tensor
    position_ids_31N: Tensor
    layout: RowLayout
    target_M: Tensor  # the completions' tokens
    mask_BGC: Tensor  # bool: True on real completion tokens, in the order of M

    def predictors(self, hidden_NH: Tensor) -> Tensor:
        """The hidden states that predict the completions' tokens, (M, H).

        The end of a prompt predicts the first token of all its completions; every other token is predicted by the one
        before it. The shares of the completions in the gradient of their prompt's end are summed in a fixed order:
        indexing with an index that holds it G times would sum them in the order in which threads arrive.
        """
        ends_B, starts_R = (torch.tensor(tokens, device=hidden_NH.device) for tokens in (self._ends, self._starts))
        end_RH = hidden_NH[ends_B][:, None].expand(-1, len(starts_R) // len(ends_B), -1).flatten(0, 1)
        before_MH = hidden_NH[-len(self.target_M) :].roll(1, dims=0)
        return before_MH.index_copy(0, starts_R, end_RH)

    @property
    def _ends(self) -> list[int]:
        """The last token of each prompt, in the row."""
        return [prompt.stop - 1 for prompt in self.layout.prompts]

    @property
    def _starts(self) -> list[int]:
        """The first token of each completion, among all of the completions' tokens."""
        first = self.layout.completions[0].start
        return [own.start - first for own in self.layout.completions]


def pack(prompts: Sequence[EncodedPrompt], completions: Sequence[Sequence[Sequence[int]]]) -> PackedRow:
    """Put every prompt and its completions (G lists of token ids each) into one row."""
    num_G = len(completions[0])
    assert all(len(group) == num_G for group in completions), "every prompt needs the same number of completions"
    layout = row_layout(
        [len(prompt.input_ids) for prompt in prompts],
        [[len(completion) for completion in group] for group in completions],
    )
    length_BG1 = torch.tensor([[[len(completion)] for completion in group] for group in completions])
    target_M = torch.tensor(
        [token for group in completions for completion in group for token in completion], dtype=torch.long
    )
    positions = [
        torch.arange(prompt.next_position, prompt.next_position + len(completion)).expand(3, -1)
        for prompt, group in zip(prompts, completions, strict=True)
        for completion in group
    ]
    return PackedRow(
        torch.cat([*(prompt.input_ids for prompt in prompts), target_M])[None],
        torch.cat([*(prompt.position_ids for prompt in prompts), *positions], dim=1)[:, None],
        layout,
        target_M,
        torch.arange(int(length_BG1.max())) < length_BG1,
    )
