"""Position ids of a prompt: where every token stands in (time, height, width).

The rule with which the released checkpoints of all families were trained: a run of video tokens is a block of ids,
which its family counts from 0; whatever comes next, text or run, starts at the largest index used so far plus one.
After a Qwen2.5-VL's video transformers advances the text by max(height, width) / 2 instead in prefill and by the
maximum in decoding, so the ids are computed here, once, and passed to prefill, decoding and loss alike.
"""

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor


def grid_block(index_t: Sequence[int], num_h: int, num_w: int) -> Tensor:
    """Ids of the tokens of a grid, row by row, whose k-th picture stands at ``index_t[k]``. Shape (3, T * h * w), long.

    >>> grid_block([0, 5], 1, 2).tolist()
    [[0, 0, 5, 5], [0, 0, 0, 0], [0, 1, 0, 1]]
    """
    axes = torch.tensor(index_t), torch.arange(num_h), torch.arange(num_w)
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).reshape(3, -1)


def prompt_position_ids(input_ids: Sequence[int], video_token_id: int, blocks: Sequence[Tensor]) -> Tensor:
    """Ids of a prompt. Shape (3, L), long; the next token's id is ``.max() + 1`` on every axis.

    ``blocks``: of each run of ``video_token_id`` in ``input_ids``, in order, (3, n) each.

    >>> pair = grid_block([0], 1, 2)
    >>> prompt_position_ids([7, 9, 9, 7, 9, 9, 7], 9, [pair, pair]).tolist()
    [[0, 1, 1, 3, 4, 4, 6], [0, 1, 1, 3, 4, 4, 6], [0, 1, 2, 3, 4, 5, 6]]
    """
    parts, next_id, waiting = [], 0, iter(blocks)
    for is_video, run in groupby(token == video_token_id for token in input_ids):
        length = len(list(run))
        part = next(waiting, None) if is_video else torch.arange(length).expand(3, -1)
        assert part is not None and part.shape[1] == length, "the prompt's video tokens do not match its grid"
        parts.append(part + next_id)
        next_id = int(parts[-1].max()) + 1
    assert next(waiting, None) is None, "the prompt's video tokens do not match its grid"
    return torch.cat(parts, dim=1)
