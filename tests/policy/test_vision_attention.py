"""The tower with windows in one call, against transformers' loop over windows."""

import torch

from tests.policy.conftest import clip
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.vision_attention import WINDOWED_ATTENTION
from tvg_lightning.schema import Prompt


def test_equals_the_loop_over_windows(tiny: PolicyBackbone) -> None:
    """Frames of one window, of several, and of windows cut short at the edge (84 = 56 + 28)."""
    prompts = [tiny.encode(Prompt("x"), clip(tiny, 4, 2.0, tokens)) for tokens in (1, 2, 3, 4)]
    config = tiny.model.model.visual.config
    assert config._attn_implementation == WINDOWED_ATTENTION
    with torch.no_grad():
        batched = tiny.video_features(prompts)
        config._attn_implementation = "sdpa"
        looped = tiny.video_features(prompts)
        config._attn_implementation = WINDOWED_ATTENTION
    assert [len(f) for f in batched] == [2, 8, 18, 32]
    for ours, theirs in zip(batched, looped, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
