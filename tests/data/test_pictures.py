"""Orientations, each against a picture turned and mirrored by hand."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from tests.data.conftest import set_matrix
from tvg_lightning.data.decoders import av_frames, decord_frames, index_frames, shown_as
from tvg_lightning.data.pictures import orientation_of

WriteVideo = Callable[..., Path]
Turn = Callable[[np.ndarray], np.ndarray]

ORIENTATIONS: list[tuple[tuple[int, int, int, int], Turn, int, bool]] = [  # a b c d; by hand; degrees; mirrored
    ((1, 0, 0, 1), lambda a: a, 0, False),
    ((0, 1, -1, 0), lambda a: np.rot90(a, -1), 90, False),
    ((-1, 0, 0, -1), lambda a: np.rot90(a, 2), 180, False),
    ((0, -1, 1, 0), lambda a: np.rot90(a, 1), 270, False),
    ((-1, 0, 0, 1), np.fliplr, 0, True),
    ((0, -1, -1, 0), lambda a: np.rot90(np.fliplr(a), -1), 90, True),
    ((1, 0, 0, -1), lambda a: np.rot90(np.fliplr(a), 2), 180, True),
    ((0, 1, 1, 0), lambda a: np.rot90(np.fliplr(a), 1), 270, True),
]


@pytest.mark.parametrize(("abcd", "by_hand", "degrees", "is_mirrored"), ORIENTATIONS)
def test_frames_are_shown_upright(
    abcd: tuple[int, int, int, int], by_hand: Turn, degrees: int, is_mirrored: bool, write_video: WriteVideo
) -> None:
    path = write_video("a.mp4", [k / 10 for k in range(30)], size=(112, 56), rotation=180)
    set_matrix(path, (1, 0, 0, 1))
    stored = av_frames(index_frames(path), [3], lambda frames: frames)[0].numpy()
    assert stored[0, 0].min() > 200 > 50 > stored[-1, 0].max() and stored[0, -1].max() < 50  # white top left only
    set_matrix(path, abcd)
    index = index_frames(path)
    (shown,) = av_frames(index, [3], lambda frames: frames)
    assert torch.equal(shown, torch.from_numpy(by_hand(stored).copy()))
    assert shown_as(index) == (*shown.shape[:2], degrees)
    with av.open(str(path)) as container:
        assert orientation_of(next(container.decode(video=0))).is_mirrored == is_mirrored
    if not is_mirrored:
        assert torch.equal(decord_frames(index, [3], lambda frames: frames)[0], shown)
