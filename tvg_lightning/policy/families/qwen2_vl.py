"""Qwen2-VL: position ids count pairs of frames, whatever their times; a tower without windows (arXiv 2409.12191)."""

from torch import Tensor
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLAttention, Qwen2VLRMSNorm

from tvg_lightning.policy import lean_modules
from tvg_lightning.policy.families import qwen2_5_vl
from tvg_lightning.policy.families.family import Family, PromptVideo, TowerSizes
from tvg_lightning.policy.lean_modules import LeanAttention
from tvg_lightning.policy.mrope import grid_block
from tvg_lightning.policy.patches import Grid

GEOMETRY = qwen2_5_vl.GEOMETRY


class LeanQwen2Attention(LeanAttention, Qwen2VLAttention):  # type: ignore[misc]  # its forward can do more
    """The published attention, unless there is a row."""


def video_blocks(video: PromptVideo, vision: Qwen2VLVisionConfig) -> list[Tensor]:
    """One block, whose temporal ids count pairs of frames; with times as text a block for each pair, where they stand.

    >>> video_blocks(PromptVideo((3, 2, 2), (), 4.0, 0.0), Qwen2VLVisionConfig())[0].tolist()
    [[0, 1, 2], [0, 0, 0], [0, 0, 0]]
    """
    num_t, num_h, num_w = video.grid_thw[0], *(side // GEOMETRY.merge for side in video.grid_thw[1:])
    if video.time_as_text:
        return [grid_block([0], num_h, num_w)] * num_t
    return [grid_block(range(num_t), num_h, num_w)]


def make_lean(model: Qwen2VLForConditionalGeneration) -> None:
    """Put the lean modules into a model. The tower's MLPs have no gate and stay."""
    lean_modules.make_lean(model, LeanQwen2Attention, Qwen2VLRMSNorm)


def tower_sizes(vision: Qwen2VLVisionConfig) -> TowerSizes:
    """Sizes of the tower; its config's ``hidden_size`` is the language model's.

    Its activation, x sigmoid(1.702 x), keeps both factors and gives a third tensor.
    """
    hidden = vision.embed_dim
    sizes = vision.depth, hidden, hidden * vision.mlp_ratio, vision.num_heads, vision.hidden_size
    return TowerSizes(*sizes, kept_inner=3, has_layer_norms=True)


def tower_flops(vision: Qwen2VLVisionConfig, grid_thw: Grid) -> float:
    """Operations of one forward pass of the vision tower and its merger over one video; a pair sees itself alone."""
    num_t, num_h, num_w = grid_thw
    return tower_sizes(vision).flops(GEOMETRY, grid_thw, vision.depth * num_t * (num_h * num_w) ** 2)


QWEN2_VL = Family(
    model_type="qwen2_vl",
    config_class=Qwen2VLConfig,
    model_class=Qwen2VLForConditionalGeneration,
    geometry=GEOMETRY,
    default_system=qwen2_5_vl.DEFAULT_SYSTEM,
    video_text=qwen2_5_vl.video_text,
    video_blocks=video_blocks,
    video_features=qwen2_5_vl.video_features,
    mergers=qwen2_5_vl.mergers,
    make_lean=make_lean,
    tower_sizes=tower_sizes,
    tower_flops=tower_flops,
    vllm_class=("vllm.model_executor.models.qwen2_vl", "Qwen2VLForConditionalGeneration"),
)
