"""Times between the frames: one policy in the prompt, the packed row, the rollout, and stock transformers alike."""

import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from tests.policy.conftest import clip
from tvg_lightning.data.caches.feature_cache import ClipFeatures
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import generate
from tvg_lightning.policy.loading import TINY_FOLDER
from tvg_lightning.policy.patches import normalise
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.policy.settings import GenerationSettings
from tvg_lightning.schema import Prompt

GREEDY = GenerationSettings(max_new_tokens=40, temperature=0.0)


@pytest.fixture(scope="module")
def timed(packaged: PolicyBackbone) -> list[EncodedPrompt]:
    """Two prompts with times in them, of different lengths and frame sizes, and one without."""
    return [
        packaged.encode(Prompt("When does it rise?", time_as_text=True), clip(packaged, 6, 2.0)),
        packaged.encode(Prompt("How long is it?", time_as_text=True), clip(packaged, 4, 0.54, tokens=2, seed=1)),
        packaged.encode(Prompt("What happens?"), clip(packaged, 4, 2.0, seed=2)),
    ]


def test_every_pair_of_frames_has_its_time(packaged: PolicyBackbone) -> None:
    prompt = packaged.encode(Prompt("When?", time_as_text=True), clip(packaged, 6, 2.0))
    text = packaged.tokenizer.decode(prompt.input_ids)
    pair = "<|vision_start|><|video_pad|><|vision_end|>"
    assert f"user\n0.0{pair}1.0{pair}2.0{pair}When?" in text, "the time of the first frame of each pair"


def test_features_are_those_without_times(packaged: PolicyBackbone) -> None:
    """The tower never sees the times: features of a cache serve both."""
    film = clip(packaged, 6, 2.0)
    plain, timed = (packaged.encode(Prompt("When?", time_as_text=given), film) for given in (False, True))
    (features,), (same,) = (packaged.video_features([one]) for one in (plain, timed))
    assert torch.equal(features, same)
    kept = ClipFeatures(features.detach(), plain.grid_thw, film.times_s, film.fps)
    again = packaged.encode(Prompt("When?", time_as_text=True), kept)
    assert torch.equal(again.input_ids, timed.input_ids) and torch.equal(again.position_ids, timed.position_ids)


def test_a_packed_row_gives_the_log_probs_of_separate_ones(
    packaged: PolicyBackbone, timed: list[EncodedPrompt]
) -> None:
    completions = [[packaged.text_to_ids(text) for text in ("It is at 1.0.", "never")] for _ in timed]
    with torch.no_grad():
        together, mask = packaged.logp(timed, completions)
        for b, prompt in enumerate(timed):
            for g, ids in enumerate(completions[b]):
                row = torch.cat([prompt.input_ids, torch.tensor(ids)])
                after = prompt.next_position + torch.arange(len(ids)).expand(3, -1)
                positions = torch.cat([prompt.position_ids, after], dim=1)[:, None]
                embeds = packaged.embed(row[None], packaged.video_features([prompt])).tokens_1NH
                logits = packaged.model(inputs_embeds=embeds, position_ids=positions).logits[0, -len(ids) - 1 : -1]
                logits[:, packaged.suppressed_ids] = float("-inf")
                alone = logits.log_softmax(1).gather(1, torch.tensor(ids)[:, None])[:, 0]
                torch.testing.assert_close(together[b, g][mask[b, g]], alone, rtol=1e-5, atol=1e-5)


def test_greedy_is_stock_generate(
    packaged: PolicyBackbone, timed: list[EncodedPrompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own positions, its own cache, its own tower: each pair of frames is handed over as one video."""
    stock = Qwen2_5_VLForConditionalGeneration.from_pretrained(TINY_FOLDER, dtype=torch.float32).eval()
    never = -1  # an end token that is not written, or the answers would be short
    monkeypatch.setattr(packaged, "end_id", never)
    ours = generate(packaged, timed, packaged.video_features(timed), 1, GREEDY)
    for prompt, (completion,) in zip(timed[:2], ours[:2], strict=True):
        pairs, height, width = prompt.grid_thw
        is_video = prompt.input_ids == stock.config.video_token_id
        found = stock.generate(
            input_ids=prompt.input_ids[None],
            attention_mask=torch.ones(1, len(prompt.input_ids), dtype=torch.long),
            mm_token_type_ids=2 * is_video[None].int(),
            pixel_values_videos=normalise(prompt.patches, torch.float32),
            video_grid_thw=torch.tensor([[1, height, width]] * pairs),
            do_sample=False,
            max_new_tokens=GREEDY.max_new_tokens,
            suppress_tokens=packaged.suppressed_ids.tolist(),
            eos_token_id=never,
            pad_token_id=0,
        )
        assert tuple(found[0, len(prompt.input_ids) :].tolist()) == completion.token_ids
        assert len(completion.token_ids) == 40
