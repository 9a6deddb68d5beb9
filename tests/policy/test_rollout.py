"""What is sampled is what the loss scores, and greedy decoding is transformers' own under the same ids."""

import pytest
import torch

from tests.policy.conftest import clip
from tvg_lightning.modules.step import Place
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.rollout import sample
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.policy.settings import SamplingSettings
from tvg_lightning.schema import Prompt


def uniforms(num_prompts: int, num_generations: int, length: int) -> torch.Tensor:
    return Place(0, "test", 0, 0).uniforms(list(range(num_prompts)), num_generations, length)


@pytest.mark.parametrize("fps", [0.5, 1.0, 2.0, 3.7])
def test_recorded_log_probs_are_those_of_the_loss(tiny: PolicyBackbone, fps: float) -> None:
    prompts = [
        tiny.encode(Prompt("What happens?"), clip(8, fps)),
        tiny.encode(Prompt("Who spins at all?"), clip(4, fps)),
    ]
    settings = SamplingSettings(max_new_tokens=12, temperature=0.8)
    groups = sample(tiny, prompts, tiny.see(prompts), 3, settings, uniforms(2, 3, 12))
    with torch.no_grad():
        logp_BGC, mask_BGC = tiny.logp(prompts, [[c.token_ids for c in group] for group in groups], None, 0.8)
    for b, group in enumerate(groups):
        for g, completion in enumerate(group):
            found = logp_BGC[b, g][mask_BGC[b, g]]
            torch.testing.assert_close(found, torch.tensor(completion.logp), rtol=1e-4, atol=1e-5)


def test_greedy_is_transformers_own_greedy(tiny: PolicyBackbone, prompts: list[EncodedPrompt]) -> None:
    """Without a cache and from full rows, one prompt at a time: nothing is shared with our way."""
    ours = sample(tiny, prompts, tiny.see(prompts), 1, SamplingSettings(max_new_tokens=16, temperature=0.0))
    for prompt, group in zip(prompts, ours, strict=True):
        ids, features = prompt.input_ids.tolist(), tiny.see([prompt])
        positions = prompt.position_ids
        for expected in group[0].token_ids:
            embeds = tiny.embed(torch.tensor([ids]), features)
            with torch.no_grad():
                logits = tiny.model(inputs_embeds=embeds, position_ids=positions[:, None]).logits[0, -1]
            logits[tiny.suppressed_ids] = float("-inf")
            assert int(logits.argmax()) == expected
            ids.append(expected)
            positions = torch.cat((positions, positions.max().expand(3, 1) + 1), dim=1)


def test_a_completion_does_not_depend_on_its_batch(tiny: PolicyBackbone, prompts: list[EncodedPrompt]) -> None:
    settings = SamplingSettings(max_new_tokens=10)
    numbers = uniforms(3, 2, 10)
    together = sample(tiny, prompts, tiny.see(prompts), 2, settings, numbers)
    for b, prompt in enumerate(prompts):
        alone = sample(tiny, [prompt], tiny.see([prompt]), 2, settings, numbers[2 * b : 2 * b + 2])
        assert [c.token_ids for c in alone[0]] == [c.token_ids for c in together[b]]


def test_vision_tokens_are_never_sampled(tiny: PolicyBackbone, prompts: list[EncodedPrompt]) -> None:
    hot = SamplingSettings(max_new_tokens=40, temperature=50.0)  # nearly uniform over the vocabulary
    groups = sample(tiny, prompts, tiny.see(prompts), 8, hot, uniforms(3, 8, 40))
    drawn = {token for group in groups for completion in group for token in completion.token_ids}
    assert len(drawn) > 100
    assert not drawn & set(tiny.suppressed_ids.tolist())


def test_rollout_leaves_the_training_mode_as_it_was(tiny: PolicyBackbone, prompts: list[EncodedPrompt]) -> None:
    tiny.train()
    sample(tiny, prompts[:1], tiny.see(prompts[:1]), 1, SamplingSettings(max_new_tokens=2, temperature=0.0))
    assert tiny.training
    tiny.eval()
