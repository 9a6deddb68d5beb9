"""Key/value cache of a rollout: a prompt's is stored once for all its completions, a completion's own as it grows.

Shape suffixes as in ``attention``; R rows that still decode (those of one prompt stand together),
T tokens that fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor

from tvg_lightning.policy.attention import Attended, attend, merge_found
from tvg_lightning.policy.ragged_index import RaggedIndex
from tvg_lightning.policy.split_attention import RowLayout

_FIRST_TOKENS = 64  # room for so many tokens a row to begin with; doubled when it is full


@dataclass(frozen=True, slots=True)
class PrefillAttention:
    """Attention over the prompts in prefill, keeping the keys and values of every layer."""

    layout: RowLayout
    keys: dict[int, Tensor] = field(default_factory=dict)  # (K, N, D) by layer; not every layer need have some
    values: dict[int, Tensor] = field(default_factory=dict)

    def attend(self, layer: int, query_KNgD: Tensor, key_KND: Tensor, value_KND: Tensor, scaling: float) -> Tensor:
        assert layer not in self.keys, "a layer reads a row once"
        self.keys[layer] = key_KND.contiguous()
        self.values[layer] = value_KND.contiguous()
        return self.layout.attend(layer, query_KNgD, key_KND, value_KND, scaling)

    @property
    def device(self) -> torch.device:
        return next(iter(self.keys.values())).device


@dataclass(slots=True)
class _PromptBatch:
    """Prompts of about one length, and the rows that still decode their completions."""

    numbers: tuple[int, ...]
    keys: dict[int, Tensor]  # (K * P, S, D) by layer
    values: dict[int, Tensor]
    seen_QS: Tensor | None
    rows: RaggedIndex | None = None  # None when all have ended


class DecodeAttention:
    """Attention of one new token a row: over its prompt and over the row's own tokens so far.

    ``is_static``: every step has the same shapes and the same memory, until rows leave or the room grows. It attends
    to all of the room, through a mask, so that a step can be captured (``captured_step``).
    """

    def __init__(self, prompts: PrefillAttention, num_generations: int, is_static: bool = False) -> None:
        num_K, _, num_D = next(iter(prompts.keys.values())).shape
        self._num_rows = [num_generations for _ in prompts.layout.prompts]
        shape = (num_K, sum(self._num_rows), _FIRST_TOKENS, num_D)
        self.is_static = is_static
        # zeros: numbers that nobody has written may be NaN, which a weight of 0 does not take away
        room = torch.zeros if is_static else torch.empty
        self._keys, self._values = (
            {layer: room(shape, dtype=x.dtype, device=x.device) for layer, x in parts.items()}
            for parts in (prompts.keys, prompts.values)
        )
        self._num_tokens, self._device = 0, prompts.device
        self._newest_1 = torch.zeros(1, dtype=torch.long, device=prompts.device)
        self._written_QT = self._newest_1.new_zeros((0, 0), dtype=torch.bool)
        self._batches = [_prompt_batch(prompts, numbers) for numbers in prompts.layout.batches]
        self._find_rows()

    def make_room(self) -> None:
        """Make room for one token more a row; called before every new token."""
        self._num_tokens += 1
        for parts in (self._keys, self._values):
            for layer, x in parts.items():
                if self._num_tokens > x.shape[2]:
                    more = torch.zeros_like if self.is_static else torch.empty_like
                    parts[layer] = torch.cat((x, more(x)), dim=2)
        if self.is_static:
            self._show_written()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and room of a static step: while they stay, so does its memory."""
        _, num_rows, room, _ = next(iter(self._keys.values())).shape
        return num_rows, room

    def _show_written(self) -> None:
        num_K, num_R, num_T, _ = next(iter(self._keys.values())).shape
        if self._written_QT.shape != (num_K * num_R, num_T):
            self._written_QT = self._written_QT.new_zeros(num_K * num_R, num_T)
        self._written_QT[:, : self._num_tokens] = True
        self._newest_1.fill_(self._num_tokens - 1)

    def keep(self, stay: Sequence[int]) -> None:
        """Drop the rows that have ended; ``stay``: the numbers of the others, in order."""
        ends = list(accumulate(self._num_rows))
        self._num_rows = [
            sum(end - num <= number < end for number in stay) for end, num in zip(ends, self._num_rows, strict=True)
        ]
        index = torch.tensor(stay, device=self._device)
        for parts in (self._keys, self._values):
            for layer, x in parts.items():
                parts[layer] = x.index_select(1, index)
        self._find_rows()

    def attend(self, layer: int, query_KRgD: Tensor, key_KRD: Tensor, value_KRD: Tensor, scaling: float) -> Tensor:
        keys, values, written = self._with_newest(layer, key_KRD, value_KRD)
        query_KRgD = query_KRgD.contiguous()
        # nothing is causal here: all queries on the same keys may stand in one column, one product for all
        found, lse = attend(query_KRgD.flatten(0, 1)[:, :, None], keys, values, scaling, seen_KS=written)
        own = found.reshape(query_KRgD.shape), lse.reshape(query_KRgD.shape[:3])
        return merge_found(self._over_prompts(layer, query_KRgD, scaling), own)

    def _with_newest(self, layer: int, key_KRD: Tensor, value_KRD: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """The rows' keys and values (K * R, tokens, D) with the newest, and which of them are written, if not all."""
        if self.is_static:
            for room, new in ((self._keys[layer], key_KRD), (self._values[layer], value_KRD)):
                room.index_copy_(2, self._newest_1, new[:, :, None].to(room.dtype))
            return self._keys[layer].flatten(0, 1), self._values[layer].flatten(0, 1), self._written_QT
        newest = self._num_tokens - 1
        self._keys[layer][:, :, newest] = key_KRD
        self._values[layer][:, :, newest] = value_KRD
        keys, values = (x[layer][:, :, : self._num_tokens].flatten(0, 1) for x in (self._keys, self._values))
        return keys, values, None

    def _over_prompts(self, layer: int, query_KRgD: Tensor, scaling: float) -> Attended:
        parts = [(batch.rows, self._over(batch, layer, query_KRgD, scaling)) for batch in self._batches if batch.rows]
        if len(parts) == 1 and parts[0][0].one is not None:
            return parts[0][1]
        found_KRgD = torch.empty_like(query_KRgD)
        lse_KRg = torch.empty(query_KRgD.shape[:3], device=query_KRgD.device)
        for rows, (found, lse) in parts:
            rows.put(found, found_KRgD)
            rows.put(lse, lse_KRg)
        return found_KRgD, lse_KRg

    @staticmethod
    def _over(batch: _PromptBatch, layer: int, query_KRgD: Tensor, scaling: float) -> Attended:
        """Attention of the rows of one batch of prompts over those prompts."""
        assert batch.rows is not None
        query_QGgD = batch.rows.batch(query_KRgD)
        column = query_QGgD.flatten(1, 2)[:, :, None]
        found, lse = attend(column, batch.keys[layer], batch.values[layer], scaling, seen_KS=batch.seen_QS)
        return batch.rows.flat(found.reshape(query_QGgD.shape)), batch.rows.flat(lse.reshape(query_QGgD.shape[:3]))

    def _find_rows(self) -> None:
        ends = list(accumulate(self._num_rows))
        for batch in self._batches:
            rows = [range(ends[b] - self._num_rows[b], ends[b]) for b in batch.numbers]
            batch.rows = RaggedIndex.of(rows, self._device) if any(rows) else None


def _prompt_batch(prompts: PrefillAttention, numbers: tuple[int, ...]) -> _PromptBatch:
    ranges = [range(prompts.layout.prompts[b].start, prompts.layout.prompts[b].stop) for b in numbers]
    index = RaggedIndex.of(ranges, prompts.device)
    keys, values = ({layer: index.batch(x) for layer, x in parts.items()} for parts in (prompts.keys, prompts.values))
    num_K = len(next(iter(prompts.keys.values())))
    return _PromptBatch(numbers, keys, values, index.real(num_K))
