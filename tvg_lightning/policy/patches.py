"""Frames to the rows that a Qwen vision tower reads, kept as bytes until they are on the device.

Shape suffixes: T frames, H x W pixels, N patches, D = 3 * temporal * patch * patch numbers a patch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

Grid = tuple[int, int, int]  # pairs of frames, rows of patches, patches of a row
Colour = tuple[float, float, float]  # R, G, B

# CLIP's statistics, which the towers of Qwen2-VL and Qwen2.5-VL were trained with
CHANNEL_MEAN: Colour = (0.48145466, 0.4578275, 0.40821073)
CHANNEL_STD: Colour = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True)
class Geometry:
    """The shape of a vision tower's input: pixels of a patch, patches of a token, frames of a group; its colours."""

    patch: int  # pixels of a patch's side
    merge: int  # patches of a token's side
    temporal: int  # frames that are read as one
    mean: Colour
    std: Colour

    @property
    def side(self) -> int:
        """Pixels of a token's side; frames are multiples of it."""
        return self.patch * self.merge

    @property
    def numbers(self) -> int:
        """Numbers of one patch: colours, frames and pixels.

        >>> Geometry(14, 2, 2, CHANNEL_MEAN, CHANNEL_STD).numbers
        1176
        """
        return 3 * self.temporal * self.patch**2

    def num_tokens(self, grid_thw: Grid) -> int:
        """Language tokens of a video whose grid counts patches.

        >>> Geometry(14, 2, 2, CHANNEL_MEAN, CHANNEL_STD).num_tokens((3, 4, 6))
        18
        """
        return grid_thw[0] * (grid_thw[1] // self.merge) * (grid_thw[2] // self.merge)


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


def normalise(patches_ND: Tensor, dtype: torch.dtype, mean: Colour = CHANNEL_MEAN, std: Colour = CHANNEL_STD) -> Tensor:
    """(x / 255 - mean) / std by channel in float32, then cast; on the device, so that only bytes travel.

    >>> normalise(torch.full((1, 6), 255, dtype=torch.uint8), torch.float32)[0, 0].item()  # 0.5185 / 0.2686
    1.9303361177444458
    """
    mean_31 = torch.tensor(mean, device=patches_ND.device)[:, None]
    std_31 = torch.tensor(std, device=patches_ND.device)[:, None]
    by_channel_N3d = patches_ND.reshape(len(patches_ND), 3, -1).float() / 255
    return ((by_channel_N3d - mean_31) / std_31).reshape(patches_ND.shape).to(dtype)
