"""A decoded picture as it is to be shown: turned and mirrored as its file asks, of pixels that may not be square."""

import struct
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import torch
from av.sidedata.sidedata import Type
from av.video.reformatter import VideoReformatter
from torch import Tensor

_ODDEST_PIXEL = 16  # times as wide as high, or as high as wide: beyond that it is nonsense, and taken for square
# by what is done to it: transposed, flipped up-down, flipped left-right; those with an odd number of these are mirrored
_DEGREES = {(0, 0, 0): 0, (1, 0, 1): 90, (0, 1, 1): 180, (1, 1, 0): 270}
_DEGREES_MIRRORED = {(0, 0, 1): 0, (1, 1, 1): 90, (0, 1, 0): 180, (1, 0, 0): 270}


class Orientation(NamedTuple):
    """The way from a stored picture to the shown one: rows and columns exchanged, then flipped up-down, left-right."""

    is_transposed: bool = False
    is_flipped_y: bool = False
    is_flipped_x: bool = False

    @property
    def is_mirrored(self) -> bool:
        return sum(self) % 2 == 1

    @property
    def degrees(self) -> int:
        """The clockwise turn, after the mirror (left-right) if there is one."""
        return (_DEGREES_MIRRORED if self.is_mirrored else _DEGREES)[
            int(self.is_transposed), int(self.is_flipped_y), int(self.is_flipped_x)
        ]


def orientation_of(frame: Any) -> Orientation:
    """The orientation by a frame's display matrix, a b u c d v x y w: x' = a x + c y, y' = b x + d y."""
    matrix = frame.side_data.get(Type.DISPLAYMATRIX)
    if matrix is None:
        return Orientation()
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, d < 0, a < 0)
    return Orientation(True, b < 0, c < 0)


def upright(frame: Any, reformatter: VideoReformatter) -> Tensor:
    """uint8 (H,W,3) as it is to be shown, but for the shape of its pixels."""
    stored = reformatter.reformat(frame, format="rgb24").to_ndarray()
    is_transposed, is_flipped_y, is_flipped_x = orientation_of(frame)
    shown = stored.transpose(1, 0, 2) if is_transposed else stored
    return torch.from_numpy(np.ascontiguousarray(shown[:: -1 if is_flipped_y else 1, :: -1 if is_flipped_x else 1]))


def pixel_shape(stream: Any) -> Fraction:
    """The width of a stored pixel by its height, 1 where the file does not say it or talks nonsense."""
    shape = stream.sample_aspect_ratio
    return shape if shape and Fraction(1, _ODDEST_PIXEL) <= shape <= _ODDEST_PIXEL else Fraction(1)


def decord_differs(frame: Any) -> str | None:
    """The reason why decord would give other pixels of frames like this one: it converts such by rules of its own."""
    parts = frame.format.components
    if any(part.bits > 8 for part in parts):
        return "more than 8 bits"
    if frame.interlaced_frame:
        return "interlaced"
    if frame.height % 2 and any(part.height < frame.height for part in parts):
        return "an odd height"
    return "mirrored" if orientation_of(frame).is_mirrored else None
