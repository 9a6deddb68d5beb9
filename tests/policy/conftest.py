"""The packaged tiny policy, and small clips and prompts to ask it about."""

import pytest
import torch

from tvg_lightning.data.video import VideoClip
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.schema import Prompt


@pytest.fixture(scope="session")
def tiny() -> PolicyBackbone:
    return PolicyBackbone(PolicySettings(train_vision_tower=True, train_merger=True)).eval()


def clip(num_frames: int, fps: float, side: int = 28, seed: int = 0) -> VideoClip:
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (num_frames, side, side, 3), generator=generator, dtype=torch.uint8)
    return VideoClip(frames, tuple(k / fps for k in range(num_frames)), fps, "made up")


@pytest.fixture(scope="session")
def prompts(tiny: PolicyBackbone) -> list[EncodedPrompt]:
    """Three prompts of different lengths, frame rates and frame sizes."""
    return [
        tiny.encode(Prompt("What does the red circle do?"), clip(6, 2.0)),
        tiny.encode(Prompt("When does the blue square rise, and for how long?"), clip(10, 0.54, seed=1)),
        tiny.encode(Prompt("How long is it?"), clip(4, 3.7, side=56, seed=2)),
    ]
