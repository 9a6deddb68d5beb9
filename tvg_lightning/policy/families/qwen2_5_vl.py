"""Qwen2.5-VL: the temporal position ids tell the time; a vision tower that attends in windows (arXiv 2502.13923)."""

import math

from torch import Tensor, nn
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLAttention, Qwen2_5_VLRMSNorm

from tvg_lightning.policy import lean_modules
from tvg_lightning.policy.chat import video_run
from tvg_lightning.policy.families.family import Family, PromptVideo, TowerSizes
from tvg_lightning.policy.lean_modules import LeanAttention
from tvg_lightning.policy.mrope import grid_block
from tvg_lightning.policy.patches import CHANNEL_MEAN, CHANNEL_STD, Geometry, Grid

DEFAULT_SYSTEM = "You are a helpful assistant."  # what Qwen's own template says when there is no system turn
GEOMETRY = Geometry(patch=14, merge=2, temporal=2, mean=CHANNEL_MEAN, std=CHANNEL_STD)


class LeanQwen2_5Attention(LeanAttention, Qwen2_5_VLAttention):  # type: ignore[misc]  # its forward can do more
    """The published attention, unless there is a row."""


def video_text(video: PromptVideo) -> str:
    """All video tokens in one run; or, with times as text, a run for each pair of frames behind the pair's time.

    The time is that of the pair's first frame, in seconds with one decimal (TimeLens, arXiv 2512.14698, whose exact
    text is not public).

    >>> video_text(PromptVideo((2, 2, 2), (0.0, 0.5, 1.0, 1.5), 1.0, 0.0))
    '<|vision_start|><|video_pad|><|video_pad|><|vision_end|>'
    >>> video_text(PromptVideo((1, 2, 2), (12.04, 12.54), 1.0, 12.04, time_as_text=True))
    '12.0<|vision_start|><|video_pad|><|vision_end|>'
    """
    num_tokens = GEOMETRY.num_tokens(video.grid_thw)
    if not video.time_as_text:
        return video_run(num_tokens)
    pair = video_run(num_tokens // video.grid_thw[0])
    return "".join(f"{time_s:.1f}{pair}" for time_s in video.times_s[:: GEOMETRY.temporal])


def video_blocks(video: PromptVideo, vision: Qwen2_5_VLVisionConfig) -> list[Tensor]:
    """One block, whose temporal ids follow the seconds; with times as text a block for each pair, where they stand.

    Runs that are told apart by texts are videos of their own, as Qwen3-VL and transformers count them.
    """
    num_t, num_h, num_w = video.grid_thw
    if video.time_as_text:
        return [video_position_ids((1, num_h, num_w), 0.0, 0.0)] * num_t
    per_second = vision.tokens_per_second
    return [video_position_ids(video.grid_thw, video.seconds_per_grid, per_second, video.start_s)]


def video_position_ids(
    grid_thw: Grid, seconds_per_grid: float, tokens_per_second: float, start_s: float = 0.0
) -> Tensor:
    """Ids of one video's tokens, counted from 0. ``grid_thw`` counts patches. Shape (3, T * H/2 * W/2), long.

    The temporal index of grid k is floor((start_s + k * seconds_per_grid) * tokens_per_second).

    >>> video_position_ids((3, 2, 4), seconds_per_grid=1.3, tokens_per_second=2)[:, ::2].tolist()
    [[0, 2, 5], [0, 0, 0], [0, 0, 0]]
    >>> video_position_ids((3, 2, 2), seconds_per_grid=1.0, tokens_per_second=2, start_s=2.5)[0].tolist()
    [5, 7, 9]
    """
    num_t, num_h, num_w = grid_thw[0], grid_thw[1] // GEOMETRY.merge, grid_thw[2] // GEOMETRY.merge
    # 1e-6: 3 * 1.3333… * 2 must be 8, also where seconds_per_grid comes from frame times with rounding errors
    index_t = [math.floor((start_s + k * seconds_per_grid) * tokens_per_second + 1e-6) for k in range(num_t)]
    return grid_block(index_t, num_h, num_w)


def video_features(visual: nn.Module, patches_ND: Tensor, grids_B3: Tensor) -> Tensor:
    """The merger's output, (V, H)."""
    features_VH: Tensor = visual(patches_ND, grid_thw=grids_B3).pooler_output
    return features_VH


def mergers(visual: nn.Module) -> list[nn.Module]:
    """The one there is."""
    return [visual.get_submodule("merger")]


def make_lean(model: Qwen2_5_VLForConditionalGeneration) -> None:
    """Put the lean modules into a model; the tower's MLPs have gates, too."""
    lean_modules.make_lean(model, LeanQwen2_5Attention, Qwen2_5_VLRMSNorm)
    lean_modules.make_mlps_lean(model.model.visual.blocks)


def tower_sizes(vision: Qwen2_5_VLVisionConfig) -> TowerSizes:
    """Sizes of the tower, as its config has them."""
    sizes = vision.depth, vision.hidden_size, vision.intermediate_size, vision.num_heads, vision.out_hidden_size
    return TowerSizes(*sizes, has_gates=True)


def tower_flops(vision: Qwen2_5_VLVisionConfig, grid_thw: Grid) -> float:
    """Operations of one forward pass of the vision tower and its merger over one video."""
    num_t, num_h, num_w = grid_thw
    num_full = len(vision.fullatt_block_indexes)
    window = vision.window_size // GEOMETRY.patch
    pairs_full = num_t * (num_h * num_w) ** 2
    pairs_window = num_t * _squares(num_h, window) * _squares(num_w, window)
    pairs = num_full * pairs_full + (vision.depth - num_full) * pairs_window
    return tower_sizes(vision).flops(GEOMETRY, grid_thw, pairs)


def _squares(length: int, window: int) -> int:
    """The sum of the squares of the windows that a side is cut into.

    >>> _squares(20, 8)  # 8 + 8 + 4
    144
    """
    return length // window * window**2 + (length % window) ** 2


QWEN2_5_VL = Family(
    model_type="qwen2_5_vl",
    config_class=Qwen2_5_VLConfig,
    model_class=Qwen2_5_VLForConditionalGeneration,
    geometry=GEOMETRY,
    default_system=DEFAULT_SYSTEM,
    video_text=video_text,
    video_blocks=video_blocks,
    video_features=video_features,
    mergers=mergers,
    make_lean=make_lean,
    tower_sizes=tower_sizes,
    tower_flops=tower_flops,
    vllm_class=("vllm.model_executor.models.qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration"),
)
