"""vLLM's completions are the policy's: log-probs, greedy answers, and all that decides how a completion ends."""

from dataclasses import replace

import pytest
import torch

from tests.engines.conftest import ask, loss_logp, uniforms
from tests.policy.conftest import clip
from tvg_lightning.engines.vllm import VLLMEngine
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import generate
from tvg_lightning.policy.settings import GenerationSettings
from tvg_lightning.schema import Prompt

pytestmark = pytest.mark.vllm

SAMPLED = GenerationSettings(max_new_tokens=24, temperature=0.8)
GREEDY = replace(SAMPLED, temperature=0.0)
CLOSE = 5e-5  # float32 by other kernels; 7e-6 was seen


@pytest.mark.parametrize("fps", [0.5, 1.0, 2.0, 3.7])
@pytest.mark.parametrize("num_frames", [8, 5])
def test_log_probs_are_those_of_the_loss(
    any_policy: PolicyBackbone, any_engine: VLLMEngine, fps: float, num_frames: int
) -> None:
    prompts = [any_policy.encode(Prompt("What happens?"), clip(any_policy, num_frames, fps, tokens=2))]
    with torch.no_grad():
        features = any_policy.video_features(prompts)
    for generation in (SAMPLED, replace(SAMPLED, top_p=0.9, top_k=50)):
        groups = any_engine(any_policy, prompts, features, 3, generation, uniforms(1, 3, 24))
        for found, expected in zip(
            groups[0], loss_logp(any_policy, prompts, features, groups, generation)[0], strict=True
        ):
            torch.testing.assert_close(torch.tensor(found.logp), expected, rtol=0, atol=CLOSE)


def test_greedy_answers_are_the_builtin_engines(any_policy: PolicyBackbone, any_engine: VLLMEngine) -> None:
    prompts, features = ask(any_policy)
    changed = replace(GREEDY, repetition_penalty=1.3, presence_penalty=0.5)
    for generation in (GREEDY, changed):
        found = any_engine(any_policy, prompts, features, 2, generation)
        expected = generate(any_policy, prompts, features, 2, generation)
        assert [[c.token_ids for c in group] for group in found] == [[c.token_ids for c in group] for group in expected]
        assert [[c.truncated for c in group] for group in found] == [[c.truncated for c in group] for group in expected]
        assert [[c.text for c in group] for group in found] == [[c.text for c in group] for group in expected]


def test_a_rollout_repeats_from_its_numbers_alone(any_policy: PolicyBackbone, any_engine: VLLMEngine) -> None:
    prompts, features = ask(any_policy)
    hot = replace(SAMPLED, temperature=2.0)
    numbers = uniforms(2, 3, 24)
    first = any_engine(any_policy, prompts, features, 3, hot, numbers)
    alone = any_engine(any_policy, prompts[1:], features[1:], 3, hot, numbers[3:])
    assert [c.token_ids for c in first[1]] == [c.token_ids for c in alone[0]]
    assert len({c.token_ids for group in first for c in group}) == 6
    other = any_engine(any_policy, prompts, features, 3, hot, 1 - numbers)
    assert [c.token_ids for c in other[0]] != [c.token_ids for c in first[0]]


def test_tokens_that_are_suppressed_do_not_come(any_policy: PolicyBackbone, any_engine: VLLMEngine) -> None:
    prompts, features = ask(any_policy)
    wild = replace(SAMPLED, temperature=50.0, max_new_tokens=100)  # nearly uniform
    groups = any_engine(any_policy, prompts, features, 8, wild, uniforms(2, 8, 100))
    drawn = {token for group in groups for c in group for token in c.token_ids}
    assert len(drawn) > 200
    assert not drawn & set(any_policy.suppressed_ids.tolist())


def test_a_stop_string_ends_a_completion_with_its_token(any_policy: PolicyBackbone, any_engine: VLLMEngine) -> None:
    prompts, features = ask(any_policy)
    whole = any_engine(any_policy, prompts, features, 1, GREEDY)
    text = any_policy.ids_to_text(whole[0][0].token_ids[:3])
    generation = replace(GREEDY, stop=(text[-2:],))
    found = any_engine(any_policy, prompts, features, 1, generation)
    expected = generate(any_policy, prompts, features, 1, generation)
    assert found[0][0].token_ids == expected[0][0].token_ids
    assert found[0][0].token_ids == whole[0][0].token_ids[: len(found[0][0].token_ids)]
    assert len(found[0][0].token_ids) <= 3
    assert not found[0][0].truncated


def test_a_completion_goes_on_from_its_prefix(any_policy: PolicyBackbone, any_engine: VLLMEngine) -> None:
    prompts, features = ask(any_policy)
    given = any_policy.text_to_ids("The square spins")[:-1]
    prefixes = [[given, []], [[], given[:2]]]
    found = any_engine(any_policy, prompts, features, 2, GREEDY, prefixes=prefixes)
    expected = generate(any_policy, prompts, features, 2, GREEDY, prefixes=prefixes)
    for ours, theirs in zip([*found[0], *found[1]], [*expected[0], *expected[1]], strict=True):
        assert ours.token_ids == theirs.token_ids
        torch.testing.assert_close(torch.tensor(ours.logp), torch.tensor(theirs.logp), rtol=0, atol=CLOSE)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_stop_string_that_begins_in_a_prefix(any_policy: PolicyBackbone, any_engine: VLLMEngine, number: int) -> None:
    """Ends a completion as in the builtin engine: within the prefix, across its end, behind it."""
    prompts, features = ask(any_policy)
    free = any_engine(any_policy, prompts, features, 1, GREEDY)[0][0].token_ids
    given, parts = free[:2], [free[0:2], free[1:3], free[2:4]]
    generation = replace(GREEDY, stop=(any_policy.ids_to_text(parts[number]),))
    prefixes = [[given, []], [given[:1], given[:1] * 30]]
    found = any_engine(any_policy, prompts, features, 2, generation, prefixes=prefixes)
    expected = generate(any_policy, prompts, features, 2, generation, prefixes=prefixes)
    for ours, theirs in zip([*found[0], *found[1]], [*expected[0], *expected[1]], strict=True):
        assert (ours.token_ids, ours.truncated, ours.text) == (theirs.token_ids, theirs.truncated, theirs.text)
        torch.testing.assert_close(torch.tensor(ours.logp), torch.tensor(theirs.logp), rtol=0, atol=CLOSE)
    assert len(found[0][0].token_ids) <= 2 + number and not found[0][0].truncated


def test_an_update_reaches_prompts_of_more_than_a_block(any_policy: PolicyBackbone, any_engine: VLLMEngine) -> None:
    """Keys and values of a long beginning are kept from call to call; after an update they are of another policy."""
    words = "The square spins and the circle grows. " * 40
    prompts = [any_policy.encode(Prompt(words, video_first=False), clip(any_policy, 4, 1.0))]
    assert int((prompts[0].input_ids == any_policy.model.config.video_token_id).nonzero()[0]) > 256
    with torch.no_grad():
        features = any_policy.video_features(prompts)
    before = any_engine(any_policy, prompts, features, 2, SAMPLED, uniforms(1, 2, 24))
    weights = any_policy.trainable_weights()
    with torch.no_grad():
        for parameter in any_policy.model.model.language_model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    after = any_engine(any_policy, prompts, features, 2, SAMPLED, uniforms(1, 2, 24))
    (expected,) = loss_logp(any_policy, prompts, features, after, SAMPLED)
    any_policy.load_trainable_weights(weights)
    again = any_engine(any_policy, prompts, features, 2, SAMPLED, uniforms(1, 2, 24))
    for completion, logp in zip(after[0], expected, strict=True):
        torch.testing.assert_close(torch.tensor(completion.logp), logp, rtol=0, atol=CLOSE)
    assert again == before
    assert [c.logp for c in after[0]] != [c.logp for c in before[0]]


def test_a_prompt_that_is_too_long_is_refused(any_policy: PolicyBackbone, any_engine: VLLMEngine) -> None:
    prompts, features = ask(any_policy)
    with pytest.raises(
        ValueError, match=r"engine vllm: a prompt and its completion have up to .* raise vllm\.max_length"
    ):
        any_engine(any_policy, prompts, features, 1, replace(GREEDY, max_new_tokens=2000))
