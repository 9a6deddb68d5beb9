"""Qwen2-VL's own: ids that count pairs of frames, a tower whose hidden size has another name."""

from pathlib import Path

import pytest
import torch
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig

from tests.families import random_checkpoint
from tests.policy.conftest import clip
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.families.family import PromptVideo
from tvg_lightning.policy.families.qwen2_vl import QWEN2_VL, tower_flops, tower_sizes, video_blocks
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.schema import Prompt

VISION = Qwen2VLVisionConfig(depth=2, embed_dim=8, mlp_ratio=3, num_heads=2, hidden_size=16)


def test_ids_count_pairs_whatever_their_times() -> None:
    """At 0, 4 and 8 s, also late in a film; times as text take the count out of the ids."""
    times_s = tuple(5.0 + 2.0 * k for k in range(6))
    plain, timed = (PromptVideo((3, 2, 4), times_s, 4.0, 5.0, as_text) for as_text in (False, True))
    (block,) = video_blocks(plain, VISION)
    assert block.tolist() == [[0, 0, 1, 1, 2, 2], [0] * 6, [0, 1] * 3]
    assert [block.tolist() for block in video_blocks(timed, VISION)] == [[[0, 0], [0, 0], [0, 1]]] * 3
    assert QWEN2_VL.video_text(timed).startswith("5.0<|vision_start|><|video_pad|><|video_pad|><|vision_end|>9.0<|")


def test_operations_of_a_tower_by_hand() -> None:
    """A pair of 4 x 2 patches. Of each: 1176 * 8; two blocks of 4 * 64 + 2 * 8 * 24; the merger, 32 * 48 / 4."""
    assert (tower_sizes(VISION).hidden_size, tower_sizes(VISION).out_hidden_size) == (8, 16)
    products = 2 * 8 * (1176 * 8 + 2 * (4 * 64 + 2 * 8 * 24) + 32 * 48 / 4)
    assert tower_flops(VISION, (1, 4, 2)) == pytest.approx(products + 4 * 8 * 2 * 8**2)


@pytest.mark.parametrize(("num_frames", "tokens"), [(2, 3), (4, 2), (6, 3), (20, 2)])
def test_position_ids_are_transformers_own_up_to_the_video(num_frames: int, tokens: int, tmp_path: Path) -> None:
    """And behind it, unless it has more pairs than tokens on a side: there transformers 5.19 steps back into it."""
    policy = PolicyBackbone(PolicySettings(random_checkpoint("qwen2_vl", tmp_path)))
    prompt = policy.encode(Prompt("When?"), clip(policy, num_frames, 2.0, tokens))
    ids_1N = prompt.input_ids[None]
    is_video_1N = ids_1N == policy.model.config.video_token_id
    grid = torch.tensor([prompt.grid_thw])
    theirs, _ = policy.model.model.get_rope_index(ids_1N, mm_token_type_ids=2 * is_video_1N.int(), video_grid_thw=grid)
    last = int(is_video_1N[0].nonzero().max()) + 1
    assert torch.equal(prompt.position_ids[:, :last], theirs[:, 0, :last])
    assert torch.equal(prompt.position_ids, theirs[:, 0]) == (num_frames // 2 <= tokens)
    assert prompt.position_ids[:, last].tolist() == [int(prompt.position_ids[:, :last].max()) + 1] * 3
