"""Frames to the rows that the Qwen2-VL vision tower reads, kept as bytes until they are on the device.

Shape suffixes: T frames, H x W pixels, N patches, D = 3 * temporal * patch * patch numbers a patch.
"""

import torch
from torch import Tensor

# What the released vision towers were trained with, by channel R, G, B (CLIP's statistics).
CHANNEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
CHANNEL_STD = (0.26862954, 0.26130258, 0.27577711)


def patchify(frames_THW3: Tensor, patch: int = 14, temporal: int = 2, merge: int = 2) -> tuple[Tensor, Tensor]:
    """Cut uint8 frames into patches: (N,D) uint8, and the grid (T/temporal, H/patch, W/patch) as int64.

    The order is Qwen2-VL's. Rows go by pair of frames, then by block of merge x merge patches (one language
    token each), then inside the block. A row goes by channel, frame of the pair, pixel row, pixel column.

    >>> patches, grid_thw = patchify(torch.zeros(4, 28, 56, 3, dtype=torch.uint8))
    >>> tuple(patches.shape), grid_thw.tolist()
    ((16, 1176), [2, 2, 4])
    """
    num_frames, height, width, channels = frames_THW3.shape
    block = patch * merge
    assert frames_THW3.dtype == torch.uint8 and channels == 3
    assert num_frames % temporal == 0 and height % block == 0 and width % block == 0, frames_THW3.shape
    grid = (num_frames // temporal, height // patch, width // patch)
    cut = frames_THW3.reshape(grid[0], temporal, grid[1] // merge, merge, patch, grid[2] // merge, merge, patch, 3)
    #          t  block row, block column, row and column in it, channel, frame, pixel row, pixel column
    rows = cut.permute(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(grid[0] * grid[1] * grid[2], -1)
    return rows, torch.tensor(grid)


def normalise(patches_ND: Tensor, dtype: torch.dtype) -> Tensor:
    """(x / 255 - mean) / std by channel in float32, then cast; on the device, so that only bytes travel.

    >>> normalise(torch.full((1, 6), 255, dtype=torch.uint8), torch.float32)[0, 0].item()  # 0.5185 / 0.2686
    1.9303361177444458
    """
    mean_31 = torch.tensor(CHANNEL_MEAN, device=patches_ND.device)[:, None]
    std_31 = torch.tensor(CHANNEL_STD, device=patches_ND.device)[:, None]
    by_channel_N3d = patches_ND.reshape(len(patches_ND), 3, -1).float() / 255
    return ((by_channel_N3d - mean_31) / std_31).reshape(patches_ND.shape).to(dtype)
