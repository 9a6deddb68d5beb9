import importlib.util
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tvg_lightning.data.video import resize_frames
from tvg_lightning.policy.patches import CHANNEL_MEAN, CHANNEL_STD, normalise, patchify


@pytest.fixture(scope="module")
def usable_torchvision() -> Iterator[None]:
    """Beside a CPU torch, PyPI's torchvision looks on import for two operators of its CUDA half."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    if importlib.util.find_spec("torchvision") is not None and torch.version.cuda is None:
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    yield  # the operators last as long as the library


def clip(num_frames: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (num_frames, height, width, 3), generator=generator, dtype=torch.uint8)


def test_one_patch_by_hand() -> None:
    frames = torch.arange(2 * 2 * 2 * 3, dtype=torch.uint8).reshape(2, 2, 2, 3)
    rows, grid_thw = patchify(frames, patch=2, temporal=2, merge=1)
    # red of frame 0, red of frame 1, then green, then blue; the red of pixel p of frame f is 12 f + 3 p
    red = [0, 3, 6, 9, 12, 15, 18, 21]
    assert rows.tolist() == [red + [v + 1 for v in red] + [v + 2 for v in red]]
    assert grid_thw.tolist() == [1, 1, 1] and grid_thw.dtype == torch.int64


def test_row_order_by_hand() -> None:
    frames = torch.zeros(2, 2, 4, 3, dtype=torch.uint8)
    frames[..., :] = torch.arange(8, dtype=torch.uint8).reshape(2, 4, 1)
    rows, grid_thw = patchify(frames, patch=1, temporal=2, merge=2)
    # 0 1 | 2 3
    # 4 5 | 6 7   the left block of four first, row by row
    assert rows[:, 0].tolist() == [0, 1, 4, 5, 2, 3, 6, 7] and grid_thw.tolist() == [1, 2, 4]


def test_order_against_loops() -> None:
    frames = clip(4, 56, 84)
    rows, grid_thw = patchify(frames)
    expected = []
    for t in range(0, 4, 2):
        for block_y in range(0, 56, 28):
            for block_x in range(0, 84, 28):
                for y in range(block_y, block_y + 28, 14):
                    for x in range(block_x, block_x + 28, 14):
                        expected.append(frames[t : t + 2, y : y + 14, x : x + 14].permute(3, 0, 1, 2).flatten())
    assert torch.equal(rows, torch.stack(expected)) and grid_thw.tolist() == [2, 4, 6]


def test_normalise_by_hand() -> None:
    row = torch.tensor([[0, 255, 0, 255, 0, 255]], dtype=torch.uint8)  # two numbers a channel
    black = [-mean / std for mean, std in zip(CHANNEL_MEAN, CHANNEL_STD, strict=True)]
    white = [(1 - mean) / std for mean, std in zip(CHANNEL_MEAN, CHANNEL_STD, strict=True)]
    expected = [value for pair in zip(black, white, strict=True) for value in pair]
    assert normalise(row, torch.float32)[0].tolist() == pytest.approx(expected, abs=1e-6)
    assert normalise(row, torch.bfloat16).dtype == torch.bfloat16


def test_parity_with_the_image_processor_of_transformers(usable_torchvision: None) -> None:
    """It shows an image twice in time; needs no torchvision. Space and normalisation are the video's own."""
    module = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl")
    frame = clip(1, 84, 56)
    theirs = module.Qwen2VLImageProcessorPil(do_resize=False)(images=[frame[0].numpy()], return_tensors="np")
    rows, grid_thw = patchify(frame.expand(2, -1, -1, -1))
    assert theirs["image_grid_thw"].tolist() == [grid_thw.tolist()]
    # float32 in another order of operations
    assert np.allclose(normalise(rows, torch.float32).numpy(), theirs["pixel_values"], atol=1e-6)


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="their video processor needs it")
def test_parity_with_the_video_processor_of_transformers(usable_torchvision: None) -> None:
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    frames = clip(6, 84, 56)
    processor = Qwen2VLVideoProcessor(cap_pixels_per_frame=False)
    theirs = processor(videos=[frames.permute(0, 3, 1, 2)], do_resize=False, return_tensors="pt")
    rows, grid_thw = patchify(frames)
    assert torch.equal(theirs["video_grid_thw"][0], grid_thw)
    assert torch.allclose(normalise(rows, torch.float32), theirs["pixel_values_videos"], atol=1e-6)


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="their video processor needs it")
def test_parity_with_their_resizing(usable_torchvision: None) -> None:
    """Theirs on the frames as decoded, ours resized once before: one grey level apart at most, by rounding."""
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    smooth = torch.nn.functional.interpolate(clip(4, 12, 16).permute(0, 3, 1, 2).float(), (270, 480), mode="bicubic")
    frames = smooth.clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous()
    size = {"shortest_edge": 784, "longest_edge": 128 * 784}
    processor = Qwen2VLVideoProcessor(cap_pixels_per_frame=False, size=size)
    theirs = processor(videos=[frames.permute(0, 3, 1, 2)], return_tensors="pt")
    rows, grid_thw = patchify(resize_frames(frames, 28, 128 * 784))
    assert torch.equal(theirs["video_grid_thw"][0], grid_thw)
    step = 1 / 255 / min(CHANNEL_STD)
    assert (normalise(rows, torch.float32) - theirs["pixel_values_videos"]).abs().max() <= step * 1.001
