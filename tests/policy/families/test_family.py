"""Text, blocks and geometry of every family fit each other, whatever the video."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from tvg_lightning.policy.chat import VIDEO_TOKEN, token_id
from tvg_lightning.policy.families.family import Family, PromptVideo
from tvg_lightning.policy.families.known import FAMILIES
from tvg_lightning.policy.loading import load_tokenizer
from tvg_lightning.policy.mrope import prompt_position_ids
from tvg_lightning.policy.settings import PolicySettings


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return load_tokenizer(PolicySettings())


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@given(
    num_t=st.integers(1, 5),
    num_h=st.integers(1, 3),
    num_w=st.integers(1, 3),
    fps=st.sampled_from([0.5, 1.0, 2.0, 3.7]),
    time_as_text=st.booleans(),
)
def test_each_run_of_video_tokens_has_its_block(
    family: Family,
    tokenizer: PreTrainedTokenizerBase,
    num_t: int,
    num_h: int,
    num_w: int,
    fps: float,
    time_as_text: bool,
) -> None:
    g = family.geometry
    times_s = [k / fps for k in range(g.temporal * num_t)]
    video = PromptVideo((num_t, g.merge * num_h, g.merge * num_w), times_s, g.temporal / fps, 0.0, time_as_text)
    ids = tokenizer("a " + family.video_text(video) + "b")["input_ids"]
    blocks = family.video_blocks(video, family.config_class().vision_config)
    assert ids.count(token_id(tokenizer, VIDEO_TOKEN)) == g.num_tokens(video.grid_thw) == num_t * num_h * num_w
    found = prompt_position_ids(ids, token_id(tokenizer, VIDEO_TOKEN), blocks)
    assert found[:, 0].tolist() == [0, 0, 0]
    for place, token in enumerate(ids[1:], start=1):
        if token != token_id(tokenizer, VIDEO_TOKEN):  # text counts on behind all that was before it
            assert found[:, place].tolist() == [int(found[:, :place].max()) + 1] * 3
