"""Qwen3-VL, dense: the text tells the time before every pair of frames; deepstack adds more of the tower's features.

The tower's states after some of its blocks go through a merger each and are added to the video tokens' hidden states
after the first layers of the language model (arXiv 2511.21631).
"""

import torch
from torch import Tensor, nn
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLVisionConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextAttention, Qwen3VLTextRMSNorm

from tvg_lightning.policy import lean_modules
from tvg_lightning.policy.chat import video_run
from tvg_lightning.policy.families.family import Family, PromptVideo, TowerSizes
from tvg_lightning.policy.lean_modules import LeanAttention
from tvg_lightning.policy.mrope import grid_block
from tvg_lightning.policy.patches import Geometry, Grid

GEOMETRY = Geometry(patch=16, merge=2, temporal=2, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


class LeanQwen3Attention(LeanAttention, Qwen3VLTextAttention):  # type: ignore[misc]  # its forward can do more
    """The published attention, unless there is a row; queries and keys have norms."""

    def normed(self, query_NhD: Tensor, key_NKD: Tensor) -> tuple[Tensor, Tensor]:
        """Both norms; under autocast their float32 weights would widen queries and keys, but not values."""
        dtype = query_NhD.dtype
        return self.q_norm(query_NhD).to(dtype), self.k_norm(key_NKD).to(dtype)


def video_text(video: PromptVideo) -> str:
    """Every pair of frames behind its time, the mean of both, in seconds with one decimal; time is text in any case.

    No start and end token around the whole: so the processor of transformers 4.57 wrote it, with which the models were
    released. From transformers 5.10 on the chat template's own pair stays around the text (docs/backbones.md).

    >>> video_text(PromptVideo((2, 2, 2), (0.0, 0.5, 1.0, 1.5), 1.0, 0.0))
    '<0.2 seconds><|vision_start|><|video_pad|><|vision_end|><1.2 seconds><|vision_start|><|video_pad|><|vision_end|>'
    """
    pair = video_run(GEOMETRY.num_tokens((1, *video.grid_thw[1:])))
    times = zip(video.times_s[:: GEOMETRY.temporal], video.times_s[1 :: GEOMETRY.temporal], strict=True)
    return "".join(f"<{(first_s + last_s) / 2:.1f} seconds>{pair}" for first_s, last_s in times)


def video_blocks(video: PromptVideo, vision: Qwen3VLVisionConfig) -> list[Tensor]:
    """A block for each pair of frames, whose temporal ids do not move on: time does not show in the ids.

    >>> [block.tolist() for block in video_blocks(PromptVideo((2, 2, 4), (), 1.0, 0.0), Qwen3VLVisionConfig())]
    [[[0, 0], [0, 0], [0, 1]], [[0, 0], [0, 0], [0, 1]]]
    """
    num_t, num_h, num_w = video.grid_thw
    return [grid_block([0], num_h // GEOMETRY.merge, num_w // GEOMETRY.merge)] * num_t


def video_features(visual: nn.Module, patches_ND: Tensor, grids_B3: Tensor) -> Tensor:
    """The merger's output, then what deepstack adds after each of the first k layers: (V, (1 + k) * H)."""
    found = visual(patches_ND, grid_thw=grids_B3)
    return torch.cat([found.pooler_output, *found.deepstack_features], dim=1)


def mergers(visual: nn.Module) -> list[nn.Module]:
    """The merger before the language model, and those of deepstack, which have most of the parameters."""
    return [visual.get_submodule("merger"), visual.get_submodule("deepstack_merger_list")]


def make_lean(model: Qwen3VLForConditionalGeneration) -> None:
    """Put the lean modules into a model. The tower's MLPs have no gate, its norms are of another kind: both stay."""
    lean_modules.make_lean(model, LeanQwen3Attention, Qwen3VLTextRMSNorm)


def tower_sizes(vision: Qwen3VLVisionConfig) -> TowerSizes:
    """Sizes of the tower, with one merger more for each layer of the language model that gets features."""
    sizes = vision.depth, vision.hidden_size, vision.intermediate_size, vision.num_heads, vision.out_hidden_size
    return TowerSizes(*sizes, num_mergers=1 + len(vision.deepstack_visual_indexes), has_layer_norms=True)


def tower_flops(vision: Qwen3VLVisionConfig, grid_thw: Grid) -> float:
    """Operations of one forward pass of the vision tower and its mergers over one video; a pair sees itself alone."""
    num_t, num_h, num_w = grid_thw
    return tower_sizes(vision).flops(GEOMETRY, grid_thw, vision.depth * num_t * (num_h * num_w) ** 2)


QWEN3_VL = Family(
    model_type="qwen3_vl",
    config_class=Qwen3VLConfig,
    model_class=Qwen3VLForConditionalGeneration,
    geometry=GEOMETRY,
    default_system=None,
    video_text=video_text,
    video_blocks=video_blocks,
    video_features=video_features,
    mergers=mergers,
    make_lean=make_lean,
    tower_sizes=tower_sizes,
    tower_flops=tower_flops,
    vllm_class=("vllm.model_executor.models.qwen3_vl", "Qwen3VLForConditionalGeneration"),
)
