"""Position ids of a Qwen2.5-VL prompt: where every token stands in (time, height, width).

The rule with which the released checkpoints were trained: inside a video, the temporal index of grid k is
floor((start_s + k * seconds_per_grid) * tokens_per_second), height and width count the merged grid; text after a video
starts at the largest index used so far plus one. transformers advances the text by max(height, width) / 2
instead in prefill and by the maximum in decoding, so the ids are computed here, once, and passed to prefill,
decoding and loss alike.
"""

import math
from itertools import groupby

import torch
from torch import Tensor

MERGE = 2  # the tower merges 2 x 2 patches into one token


def video_position_ids(
    grid_thw: tuple[int, int, int], seconds_per_grid: float, tokens_per_second: float, start_s: float = 0.0
) -> Tensor:
    """Ids of one video's tokens, counted from 0. ``grid_thw`` counts patches. Shape (3, T * H/2 * W/2), long.

    >>> video_position_ids((3, 2, 4), seconds_per_grid=1.3, tokens_per_second=2)[:, ::2].tolist()
    [[0, 2, 5], [0, 0, 0], [0, 0, 0]]
    >>> video_position_ids((3, 2, 2), seconds_per_grid=1.0, tokens_per_second=2, start_s=2.5)[0].tolist()
    [5, 7, 9]
    """
    num_t, num_h, num_w = grid_thw[0], grid_thw[1] // MERGE, grid_thw[2] // MERGE
    # 1e-6: 3 * 1.3333… * 2 must be 8, also where seconds_per_grid comes from frame times with rounding errors
    index_t = [math.floor((start_s + k * seconds_per_grid) * tokens_per_second + 1e-6) for k in range(num_t)]
    return torch.stack(
        torch.meshgrid(torch.tensor(index_t), torch.arange(num_h), torch.arange(num_w), indexing="ij")
    ).reshape(3, -1)


def timed_position_ids(input_ids: list[int], video_token_id: int, grid_thw: tuple[int, int, int]) -> Tensor:
    """Ids of a prompt whose video is told apart by texts: every run of ``video_token_id`` is one pair of frames.

    Each run is a video of its own, as Qwen3-VL and transformers count them: its temporal index does not move on, for
    the text before it says when it is, and the text after it starts at its largest index plus one. Shape (3, L), long.

    >>> timed_position_ids([7, 9, 9, 7, 9, 9, 7], 9, (2, 2, 4)).tolist()
    [[0, 1, 1, 3, 4, 4, 6], [0, 1, 1, 3, 4, 4, 6], [0, 1, 2, 3, 4, 5, 6]]
    """
    pair = video_position_ids((1, *grid_thw[1:]), 0.0, 0.0)
    parts, next_id = [], 0
    for is_video, run in groupby(token == video_token_id for token in input_ids):
        length = len(list(run))
        assert not is_video or length == pair.shape[1], "the prompt's video tokens do not match its grid"
        parts.append((pair if is_video else torch.arange(length).expand(3, -1)) + next_id)
        next_id = int(parts[-1].max()) + 1
    return torch.cat(parts, dim=1)


def prompt_position_ids(
    input_ids: list[int],
    video_token_id: int,
    grid_thw: tuple[int, int, int],
    seconds_per_grid: float,
    tokens_per_second: float,
    start_s: float = 0.0,
) -> Tensor:
    """Ids of a prompt with exactly one video. Shape (3, L), long; the next token's id is ``.max() + 1`` on every axis.

    The video's tokens are the run of ``video_token_id`` in ``input_ids``.
    """
    before = input_ids.index(video_token_id)
    num_video = input_ids.count(video_token_id)
    video = video_position_ids(grid_thw, seconds_per_grid, tokens_per_second, start_s) + before
    assert video.shape[1] == num_video, "the prompt's video tokens do not match its grid"
    num_after = len(input_ids) - before - num_video
    text_before = torch.arange(before).expand(3, -1)
    text_after = (int(video.max()) + 1 + torch.arange(num_after)).expand(3, -1)
    return torch.cat((text_before, video, text_after), dim=1)
