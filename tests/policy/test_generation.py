"""What is generated is what the loss scores, and greedy decoding is transformers' own under the same ids."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.policy.conftest import clip, published_modules, stock_inputs
from tvg_lightning.modules.step import StepContext
from tvg_lightning.policy import generation, split_attention
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import generate
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.policy.settings import GenerationSettings
from tvg_lightning.schema import Prompt


def uniforms(num_prompts: int, num_generations: int, length: int) -> torch.Tensor:
    return StepContext(0, "test", 0, 0).uniforms(list(range(num_prompts)), num_generations, length)


@pytest.mark.parametrize("fps", [0.5, 1.0, 2.0, 3.7])
def test_recorded_log_probs_are_those_of_the_loss(tiny: PolicyBackbone, fps: float) -> None:
    prompts = [
        tiny.encode(Prompt("What happens?"), clip(tiny, 8, fps)),
        tiny.encode(Prompt("Who spins at all?"), clip(tiny, 5, fps)),
    ]
    settings = GenerationSettings(max_new_tokens=12, temperature=0.8)
    groups = generate(tiny, prompts, tiny.video_features(prompts), 3, settings, uniforms(2, 3, 12))
    with torch.no_grad():
        logp_BGC, mask_BGC = tiny.logp(prompts, [[c.token_ids for c in group] for group in groups], None, 0.8)
    for b, group in enumerate(groups):
        for g, completion in enumerate(group):
            found = logp_BGC[b, g][mask_BGC[b, g]]
            torch.testing.assert_close(found, torch.tensor(completion.logp), rtol=1e-5, atol=1e-5)


def test_a_rollout_casts_its_weights_once(
    tiny: PolicyBackbone, prompts: list[EncodedPrompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under autocast as Lightning opens it: while it writes the matrices are bfloat16, what it writes is the same."""
    settings, layer = GenerationSettings(max_new_tokens=12), tiny.model.model.language_model.layers[0]
    before, seen, whole = layer.mlp.up_proj.weight.data_ptr(), [], tiny.hidden_states

    def watched(*args: Any) -> Tensor:
        seen.append((layer.mlp.up_proj.weight.dtype, layer.input_layernorm.weight.dtype, tiny.head.dtype))
        return whole(*args)

    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        with torch.no_grad():
            features = tiny.video_features(prompts)
        with monkeypatch.context() as patch:
            patch.setattr(generation, "cast_once", lambda policy: nullcontext(policy.head))
            expected = generate(tiny, prompts, features, 3, settings, uniforms(len(prompts), 3, 12))
        monkeypatch.setattr(tiny, "hidden_states", watched)
        found = generate(tiny, prompts, features, 3, settings, uniforms(len(prompts), 3, 12))
    assert found == expected
    assert set(seen) == {(torch.bfloat16, torch.float32, torch.float32)}
    assert layer.mlp.up_proj.weight.dtype == torch.float32 and layer.mlp.up_proj.weight.data_ptr() == before


def test_an_interrupted_rollout_leaves_the_policy_as_it_was(
    tiny: PolicyBackbone, prompts: list[EncodedPrompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> Tensor:
        raise KeyboardInterrupt

    monkeypatch.setattr(generation, "choose_tokens", interrupted)
    tiny.train()
    with pytest.raises(KeyboardInterrupt):
        generate(tiny, prompts, tiny.video_features(prompts), 1, GenerationSettings(max_new_tokens=2))
    assert tiny.training
    tiny.eval()


def test_prompts_apart_are_prompts_together(
    tiny: PolicyBackbone, prompts: list[EncodedPrompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three prompts in one batch of keys, or each with its own: some rows end early, so that the batches thin out."""
    settings = GenerationSettings(max_new_tokens=20, stop=("e", "a"))
    together = generate(tiny, prompts, tiny.video_features(prompts), 4, settings, uniforms(3, 4, 20))
    monkeypatch.setattr(split_attention, "alike", lambda lengths, _: [[b] for b in range(len(lengths))])
    apart = generate(tiny, prompts, tiny.video_features(prompts), 4, settings, uniforms(3, 4, 20))
    assert [[c.token_ids for c in group] for group in together] == [[c.token_ids for c in group] for group in apart]
    assert len({len(c.token_ids) for group in together for c in group}) > 2


@pytest.mark.parametrize("fps", [0.5, 1.0, 2.0, 3.7])
def test_greedy_is_stock_generate(tiny: PolicyBackbone, fps: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own model from pixels, its own cache; long enough that our room for keys grows; an odd number of frames too.

    Then the loss's pass, which knows no cache, gives the log-probs that were noted.
    """
    prompts = [
        tiny.encode(Prompt("When does it rise?"), clip(tiny, 7, fps)),
        tiny.encode(Prompt("Who spins at all?"), clip(tiny, 4, fps, tokens=2, seed=1)),
    ]
    num_new = 100
    monkeypatch.setattr(tiny, "end_id", -1)  # an end token that is not written, or the answers would be short
    ours = generate(tiny, prompts, tiny.video_features(prompts), 2, GenerationSettings(num_new, temperature=0.0))
    with published_modules(tiny):
        stock = PolicyBackbone(tiny.settings).eval()
    for prompt, group in zip(prompts, ours, strict=True):
        found = stock.model.generate(
            **stock_inputs(tiny, prompt), do_sample=False, max_new_tokens=num_new, eos_token_id=-1, pad_token_id=0,
            suppress_tokens=tiny.suppressed_ids.tolist(), use_cache=True,
        )[0, len(prompt.input_ids) :]  # fmt: skip
        assert group[0].token_ids == group[1].token_ids == tuple(found.tolist()) and len(found) == num_new
        with torch.no_grad():
            logp_11C = tiny.logp([prompt], [[group[0].token_ids]], temperature=0.0)[0]
        torch.testing.assert_close(logp_11C[0, 0], torch.tensor(group[0].logp), rtol=1e-5, atol=1e-5)


def test_rows_that_stop_early_leave_the_others_as_they_were(tiny: PolicyBackbone, prompts: list[EncodedPrompt]) -> None:
    """Stopping at what a row writes in two tokens, and at a letter; what is left is written as if all had gone on."""
    numbers = uniforms(3, 4, 40)
    hot = GenerationSettings(max_new_tokens=40, temperature=3.0)
    full = [c for group in generate(tiny, prompts, tiny.video_features(prompts), 4, hot, numbers) for c in group]
    pair = tiny.ids_to_text(full[5].token_ids[8:10])
    stop = (pair, "th")
    settings = replace(hot, stop=stop)
    cut = [c for group in generate(tiny, prompts, tiny.video_features(prompts), 4, settings, numbers) for c in group]
    assert all(pair not in tiny.ids_to_text([token]) for token in full[5].token_ids)
    assert cut[5].text.endswith(pair) or "th" in cut[5].text
    for whole, part in zip(full, cut, strict=True):
        assert part.token_ids == whole.token_ids[: len(part.token_ids)]
        torch.testing.assert_close(part.logp, whole.logp[: len(part.logp)], rtol=1e-5, atol=1e-5)
        before = tiny.ids_to_text(part.token_ids[:-1])
        assert not any(string in before for string in stop)
        assert part.truncated == (whole.truncated and not any(string in part.text for string in stop))
    assert len(cut[5].token_ids) <= 10
    assert len({len(c.token_ids) for c in cut}) > 3


def test_a_completion_does_not_depend_on_its_batch(tiny: PolicyBackbone, prompts: list[EncodedPrompt]) -> None:
    settings = GenerationSettings(max_new_tokens=10)
    numbers = uniforms(3, 2, 10)
    together = generate(tiny, prompts, tiny.video_features(prompts), 2, settings, numbers)
    for b, prompt in enumerate(prompts):
        alone = generate(tiny, [prompt], tiny.video_features([prompt]), 2, settings, numbers[2 * b : 2 * b + 2])
        assert [c.token_ids for c in alone[0]] == [c.token_ids for c in together[b]]


def test_vision_tokens_are_never_generated(tiny: PolicyBackbone, prompts: list[EncodedPrompt]) -> None:
    hot = GenerationSettings(max_new_tokens=40, temperature=50.0)  # nearly uniform over the vocabulary
    groups = generate(tiny, prompts, tiny.video_features(prompts), 8, hot, uniforms(3, 8, 40))
    drawn = {token for group in groups for completion in group for token in completion.token_ids}
    assert len(drawn) > 100
    assert not drawn & set(tiny.suppressed_ids.tolist())


def test_rollout_leaves_the_training_mode_as_it_was(tiny: PolicyBackbone, prompts: list[EncodedPrompt]) -> None:
    tiny.train()
    generate(
        tiny, prompts[:1], tiny.video_features(prompts[:1]), 1, GenerationSettings(max_new_tokens=2, temperature=0.0)
    )
    assert tiny.training
    tiny.eval()


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_penalties_change_what_is_chosen_and_not_what_is_noted(
    tiny: PolicyBackbone, prompts: list[EncodedPrompt], temperature: float
) -> None:
    """With a presence penalty beyond all measure no token comes twice."""
    numbers = uniforms(len(prompts), 2, 24)
    features = tiny.video_features(prompts)
    present = GenerationSettings(24, temperature, presence_penalty=1e6)
    for group in generate(tiny, prompts, features, 2, present, numbers):
        for completion in group:
            assert len(set(completion.token_ids)) == len(completion.token_ids)
    repeated = GenerationSettings(8, temperature, repetition_penalty=50.0)  # the tiny policy is sure of what it says
    groups = generate(tiny, prompts, features, 2, repeated, numbers)
    with torch.no_grad():
        ids = [[c.token_ids for c in group] for group in groups]
        logp_BGC, mask_BGC = tiny.logp(prompts, ids, None, temperature or 1.0)
    noted = torch.tensor([logp for group in groups for c in group for logp in c.logp])
    torch.testing.assert_close(logp_BGC[mask_BGC], noted, rtol=1e-5, atol=1e-5)
    plain = generate(tiny, prompts, features, 2, GenerationSettings(8, temperature), numbers)
    assert [[c.token_ids for c in group] for group in plain] != ids
