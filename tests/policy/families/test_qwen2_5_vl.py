"""Qwen2.5-VL's own: the time in the ids or in the text, and a tower that attends in windows."""

import pytest
import torch
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig

from tvg_lightning.policy.families.family import PromptVideo
from tvg_lightning.policy.families.qwen2_5_vl import (
    QWEN2_5_VL,
    tower_flops,
    video_blocks,
    video_position_ids,
    video_text,
)
from tvg_lightning.policy.mrope import prompt_position_ids

VIDEO = 9
VISION = Qwen2_5_VLVisionConfig(tokens_per_second=2)


def test_a_rate_that_is_not_a_binary_fraction_does_not_lose_an_index() -> None:
    """At 3 frames a second, grid 3 lies at exactly 2 s: its index is 4, though 2 / 3 is rounded."""
    found = video_position_ids((4, 2, 2), seconds_per_grid=2 / 3.0000000001, tokens_per_second=2)
    assert found[0].tolist() == [0, 1, 2, 4]


def test_a_video_that_begins_late_is_told_so() -> None:
    """Three pairs of frames at 2.5, 3.5 and 4.5 s, two ids a second; the text goes on behind the last."""
    found = prompt_position_ids(
        [1, VIDEO, VIDEO, VIDEO, 2], VIDEO, [video_position_ids((3, 2, 2), 1.0, 2, start_s=2.5)]
    )
    assert found[0].tolist() == [0, 6, 8, 10, 11] and found[1].tolist() == [0, 1, 1, 1, 11]


def test_times_as_text_take_the_time_out_of_the_ids() -> None:
    """One video at 0, 12.04 and 24.08 s, two tokens a pair of frames."""
    times_s = (0.0, 6.02, 12.04, 18.06, 24.08, 30.1)
    plain, timed = (PromptVideo((3, 2, 4), times_s, 12.04, 0.0, as_text) for as_text in (False, True))
    pair = "<|vision_start|><|video_pad|><|video_pad|><|vision_end|>"
    assert video_text(timed) == f"0.0{pair}12.0{pair}24.1{pair}"
    assert video_text(plain).count("<|video_pad|>") == 6 and video_text(plain).count("<|vision_end|>") == 1
    assert [block.tolist() for block in video_blocks(timed, VISION)] == [[[0, 0], [0, 0], [0, 1]]] * 3
    (block,) = video_blocks(plain, VISION)
    assert block.tolist() == [[0, 0, 24, 24, 48, 48], [0] * 6, [0, 1] * 3]
    assert torch.equal(video_blocks(PromptVideo((1, 2, 2), (0.0, 0.5), 1.0, 0.0), VISION)[0], torch.zeros(3, 1))


def test_operations_of_a_tower_by_hand() -> None:
    """A frame of 6 x 4 patches in windows of 4 x 4: one of 16 and one of 8, and once all 24 see each other.

    Of a patch: embedding 1176 * 8; two blocks of 4 * 64 + 3 * 8 * 10; the merger, a quarter of 32 * (32 + 16).
    """
    vision = Qwen2_5_VLVisionConfig(
        depth=2, hidden_size=8, intermediate_size=10, num_heads=2, out_hidden_size=16, window_size=56,
        fullatt_block_indexes=[1],
    )  # fmt: skip
    products = 2 * 24 * (1176 * 8 + 2 * (4 * 64 + 3 * 8 * 10) + 32 * 48 / 4)
    assert tower_flops(vision, (1, 6, 4)) == pytest.approx(products + 4 * 8 * (24**2 + 16**2 + 8**2))


def test_the_geometry_is_the_published_one() -> None:
    """14 pixels a patch, 2 x 2 patches a token, frames in pairs."""
    assert (QWEN2_5_VL.geometry.side, QWEN2_5_VL.geometry.numbers) == (28, 1176)
