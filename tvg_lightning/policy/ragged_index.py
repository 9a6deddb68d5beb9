"""Sequences of a row as a ragged batch: which tokens they have, how they become a padded batch and go back.

Shape suffixes: K key heads, N tokens of the row, P sequences of T tokens at most, M tokens of all of them together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

_A_CALL = 2**20  # pairs of query and key that cost about as much as another call


@dataclass(frozen=True, slots=True)
class RaggedIndex:
    """Sequences of a row, by the positions of their tokens. A single one is its slice, and is never copied."""

    one: slice | None
    index_PT: Tensor  # anything where padded
    real_PT: Tensor  # bool
    token_M: Tensor
    place_M: tuple[Tensor, Tensor]  # of every token its sequence and its place there: known without waiting for a GPU

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]], device: torch.device | None = None) -> Self:
        """The index of sequences, each given by its positions in the row; some may be empty.

        >>> index = RaggedIndex.of([range(0, 2), range(5, 6)])
        >>> index.batch(torch.arange(6)[None]).tolist(), index.flat(torch.tensor([[7, 8], [9, 0]])).tolist()
        ([[0, 1], [5, 0]], [[7, 8, 9]])
        """
        lengths_P1 = torch.tensor([[len(sequence)] for sequence in sequences])
        order_T = torch.arange(int(lengths_P1.max()))
        real_PT = (order_T < lengths_P1).to(device)
        token_M = torch.tensor([token for sequence in sequences for token in sequence], dtype=torch.long, device=device)
        index_PT = torch.zeros(real_PT.shape, dtype=torch.long, device=device).masked_scatter(real_PT, token_M)
        sequence_M, order_M = real_PT.nonzero(as_tuple=True)
        place_M = (sequence_M, order_M)
        first = sequences[0]
        is_run = len(sequences) == 1 and isinstance(first, range)
        return cls(slice(first[0], first[-1] + 1) if is_run and first else None, index_PT, real_PT, token_M, place_M)

    def batch(self, x_KN: Tensor) -> Tensor:
        """(K, N, …) -> (K * P, T, …)."""
        return x_KN[:, self.index_PT].flatten(0, 1) if self.one is None else x_KN[:, self.one]

    def flat(self, x_QT: Tensor) -> Tensor:
        """(K * P, T, …) -> (K, M, …): without what was padded."""
        if self.one is not None:
            return x_QT
        return x_QT.unflatten(0, (-1, len(self.real_PT)))[:, *self.place_M]

    def of_row(self, x_KN: Tensor) -> Tensor:
        """(K, N, …) -> (K, M, …)."""
        return x_KN[:, self.token_M] if self.one is None else x_KN[:, self.one]

    def real(self, num_K: int) -> Tensor | None:
        """True for real tokens of a batch (K * P, T), bool; None where all are."""
        return None if len(self.real_PT) == 1 else self.real_PT.repeat(num_K, 1)

    def put(self, x_KM: Tensor, row_KN: Tensor) -> None:
        """Write into a row in place."""
        row_KN[:, self.token_M if self.one is None else self.one] = x_KM


def alike(lengths: Sequence[int], followers: Sequence[int]) -> list[list[int]]:
    """Sequences to make batches of, by number: padding, in pairs of tokens, must cost less than a quarter, or a call.

    ``followers``: how many tokens besides its own see a sequence.

    >>> alike([3000, 10, 2900, 12], [0, 0, 0, 0])
    [[1, 3], [2, 0]]
    """
    batches: list[list[int]] = []
    for number in sorted(range(len(lengths)), key=lambda n: lengths[n]):
        together = [*batches[-1], number] if batches else [number]
        needed = sum(lengths[n] * (lengths[n] + followers[n]) for n in together)
        longest = max(lengths[n] for n in together)
        padded = len(together) * longest * (longest + max(followers[n] for n in together))
        if batches and padded - needed <= max(needed // 4, _A_CALL):
            batches[-1] = together
        else:
            batches.append([number])
    return batches
