"""A small policy of every family, and clips and prompts to ask it about."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tvg_lightning.data.video import VideoClip
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.families.known import FAMILIES
from tvg_lightning.policy.patches import normalise
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.schema import Prompt


@pytest.fixture(scope="session")
def packaged() -> PolicyBackbone:
    """The policy of the package, which was trained."""
    return PolicyBackbone(PolicySettings(train_vision_tower=True, train_merger=True)).eval()


@pytest.fixture(scope="session")
def tiny(checkpoint: str) -> PolicyBackbone:
    return PolicyBackbone(PolicySettings(checkpoint, train_vision_tower=True, train_merger=True)).eval()


def clip(policy: PolicyBackbone, num_frames: int, fps: float, tokens: int = 1, seed: int = 0) -> VideoClip:
    """Noise of tokens x tokens video tokens a pair; of an odd number of frames the last is shown twice."""
    return noise(tokens * policy.side, num_frames, fps, seed)


def noise(side: int, num_frames: int, fps: float, seed: int = 0) -> VideoClip:
    """A clip of side x side pixels; of an odd number of frames the last is shown twice."""
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (num_frames, side, side, 3), generator=generator, dtype=torch.uint8)
    times_s = [k / fps for k in range(num_frames)]
    if num_frames % 2:
        frames, times_s = torch.cat([frames, frames[-1:]]), [*times_s, times_s[-1]]
    return VideoClip(frames, tuple(times_s), fps, "made up")


def stock_inputs(policy: PolicyBackbone, prompt: EncodedPrompt, completion: Sequence[int] = ()) -> dict[str, Tensor]:
    """A prompt and one completion, from pixels, as transformers' own model takes them; the positions are ours."""
    g, after = policy.family.geometry, prompt.next_position + torch.arange(len(completion)).expand(3, -1)
    ids_1N = torch.cat((prompt.input_ids, torch.tensor(completion, dtype=torch.long)))[None]
    return {
        "input_ids": ids_1N,
        "attention_mask": torch.ones_like(ids_1N),
        "position_ids": torch.cat((prompt.position_ids, after), dim=1)[:, None],
        "pixel_values_videos": normalise(prompt.patches, policy.head.dtype, g.mean, g.std),
        "video_grid_thw": torch.tensor([prompt.grid_thw]),
    }


@contextmanager
def published_modules(policy: PolicyBackbone) -> Iterator[None]:
    """While this lasts, policies of that family are loaded without any module of ours."""
    family = policy.family
    FAMILIES[family.model_type] = replace(family, make_lean=lambda model: None)
    try:
        yield
    finally:
        FAMILIES[family.model_type] = family


@pytest.fixture(scope="session")
def prompts(tiny: PolicyBackbone) -> list[EncodedPrompt]:
    """Three prompts of different lengths, frame rates and frame sizes, one with an odd number of frames."""
    return [
        tiny.encode(Prompt("What does the red circle do?"), clip(tiny, 5, 2.0)),
        tiny.encode(Prompt("When does the blue square rise, and for how long?"), clip(tiny, 10, 0.54, seed=1)),
        tiny.encode(Prompt("How long is it?"), clip(tiny, 4, 3.7, tokens=2, seed=2)),
    ]
