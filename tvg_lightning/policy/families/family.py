"""Description of an architecture: all that the policy must know of one and not of another.

A family is one file beside this one that ends with a ``Family``; ``known`` lists them. Shape suffixes as in
``backbone``; V video tokens of all prompts, n tokens of one run of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from tvg_lightning.policy.patches import Geometry, Grid


@dataclass(frozen=True, slots=True)
class PromptVideo:
    """A video as a prompt has it: the size of its grid, and the times of its frames in seconds.

    ``time_as_text`` asks for the time before each pair of frames where the family does not write it anyway.
    """

    grid_thw: Grid
    times_s: Sequence[float]  # of every frame, from time zero of the clip
    seconds_per_grid: float  # from one pair of frames to the next
    start_s: float  # of the first pair
    time_as_text: bool = False


@dataclass(frozen=True, slots=True)
class TowerSizes:
    """A vision tower in numbers, whatever its config calls them."""

    depth: int  # blocks
    hidden_size: int
    intermediate_size: int
    num_heads: int
    out_hidden_size: int  # of a video token's features, one layer's
    has_gates: bool = False  # MLPs of three products instead of two
    num_mergers: int = 1  # each of two products, over all patches of a token
    kept_inner: int = 2  # tensors of the intermediate size that an MLP keeps for its backward pass
    has_layer_norms: bool = False  # PyTorch's own: of two numbers a patch, and in float32 where a GPU autocasts

    def flops(self, geometry: Geometry, grid_thw: Grid, pairs: float) -> float:
        """Operations of one forward pass over one video, mergers included.

        ``pairs``: of patches that see each other, summed over blocks.

        >>> g = Geometry(patch=1, merge=1, temporal=1, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))  # 3 numbers a patch
        >>> TowerSizes(1, 2, 5, 1, 7).flops(g, (1, 1, 1), pairs=1)  # 2 * (3*2 + 4*2*2 + 2*2*5 + 2 * (2 + 7)) + 4 * 2
        128.0
        """
        num_patches = grid_thw[0] * grid_thw[1] * grid_thw[2]
        mlp = (3 if self.has_gates else 2) * self.hidden_size * self.intermediate_size
        merged = self.hidden_size * geometry.merge**2
        mergers = self.num_mergers * merged * (merged + self.out_hidden_size) / geometry.merge**2
        products = geometry.numbers * self.hidden_size + self.depth * (4 * self.hidden_size**2 + mlp) + mergers
        return 2.0 * products * num_patches + 4.0 * self.hidden_size * pairs


@dataclass(frozen=True, slots=True)
class Family:
    """One architecture, known by the ``model_type`` of its config.json.

    ``video_text`` is the video in a prompt, its special tokens included; ``video_blocks`` has one tensor (3, n) of
    position ids for each run of video tokens in that text, counted from 0. ``video_features`` takes normalised patches
    and grids (B, 3) and gives (V, (1 + k) * H): what stands in the tokens' places, and, where k > 0, what is added to
    them after each of the first k layers. ``make_lean`` puts lean modules into a model, in place; it may also give
    layers another ``forward``, as long as they are called as ``layer(hidden, position_embeddings=angles, row=row)``.
    """

    model_type: str
    config_class: type[Any]
    model_class: type[Any]
    geometry: Geometry
    default_system: str | None  # the system turn where a prompt has none and no chat template says more; None: no turn
    video_text: Callable[[PromptVideo], str]
    video_blocks: Callable[[PromptVideo, Any], list[Tensor]]  # with the vision tower's config
    video_features: Callable[[nn.Module, Tensor, Tensor], Tensor]  # of a vision tower
    mergers: Callable[[Any], Sequence[nn.Module]]  # of a vision tower: what ``train_merger`` trains
    make_lean: Callable[[Any], None]
    tower_sizes: Callable[[Any], TowerSizes]  # of a tower's config
    tower_flops: Callable[[Any, Grid], float]  # of a tower's config: one forward pass, mergers included
    vllm_class: tuple[str, str]  # module and name of vLLM's model, for rollouts there
