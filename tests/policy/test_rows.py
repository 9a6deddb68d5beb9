"""A packed row is the same as separate ones read by transformers, and its completions are blind to each other."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.policy.conftest import clip, published_modules, stock_inputs
from tvg_lightning.modules.step import StepContext
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import generate
from tvg_lightning.policy.rows import EncodedPrompt, pack
from tvg_lightning.policy.settings import Attention, GenerationSettings, PolicySettings, Tuning
from tvg_lightning.schema import Prompt

COMPLETIONS = [  # from one token to the longest
    [[20, 21, 22], [30], [40, 41, 42, 43, 44, 45, 46]],
    [[50, 51], [52, 53, 54, 55], [56, 57, 58]],
    [[60], [61, 62], list(range(63, 103))],
]


def vision_too(checkpoint: str) -> PolicySettings:
    return PolicySettings(checkpoint, train_vision_tower=True, train_merger=True)


def separate(policy: PolicyBackbone, prompts: list[EncodedPrompt], temperature: float = 1.0) -> list[list[Tensor]]:
    """G full rows a prompt, one at a time and from pixels, through transformers' own model."""
    return [
        [_alone(policy, prompt, completion, temperature) for completion in group]
        for prompt, group in zip(prompts, COMPLETIONS, strict=True)
    ]


def _alone(policy: PolicyBackbone, prompt: EncodedPrompt, completion: list[int], temperature: float) -> Tensor:
    logits = policy.model(**stock_inputs(policy, prompt, completion), use_cache=False).logits.float()
    logits = logits[0, len(prompt.input_ids) - 1 : -1] / temperature
    logp = logits.index_fill(1, policy.suppressed_ids, float("-inf")).log_softmax(1)
    return logp.gather(1, torch.tensor(completion)[:, None])[:, 0]


def published(settings: PolicySettings, policy: PolicyBackbone) -> PolicyBackbone:
    """The same policy without a module of ours, its tower as transformers has it."""
    with published_modules(policy):
        stock = PolicyBackbone(settings)
    stock.model.model.visual.config._attn_implementation = "sdpa"
    assert not any("lean" in type(module).__name__.lower() for module in stock.modules())
    return stock


def gradients(policy: PolicyBackbone, loss: Tensor) -> dict[str, Tensor]:
    policy.zero_grad()
    loss.backward()
    found = {n: p.grad.clone() for n, p in policy.named_parameters() if p.grad is not None}
    policy.zero_grad()
    return found


@pytest.mark.parametrize("attention", ["split", "dense"])
@pytest.mark.parametrize("gradient_checkpointing", [False, True])
@pytest.mark.parametrize("tuning", ["full", "lora", "qlora"])
def test_a_packed_row_equals_separate_rows(
    tuning: Tuning,
    gradient_checkpointing: bool,
    attention: Attention,
    checkpoint: str,
    prompts: list[EncodedPrompt],
) -> None:
    """To 1e-5 of the largest log-prob, and of the largest entry of every gradient; against the published modules."""
    settings = vision_too(checkpoint) if tuning == "full" else PolicySettings(checkpoint, tuning, lora_rank=4)
    settings = replace(settings, attention=attention, gradient_checkpointing=gradient_checkpointing)
    policy = PolicyBackbone(settings)
    stock = published(settings, policy)
    _awaken_adapters(policy)
    _awaken_adapters(stock)
    packed_BGC, mask_BGC = policy.logp(prompts, COMPLETIONS, temperature=0.7)
    alone = separate(stock, prompts, 0.7)
    for b, group in enumerate(alone):
        for g, logp in enumerate(group):
            assert int(mask_BGC[b, g].sum()) == len(logp)
            torch.testing.assert_close(packed_BGC[b, g, : len(logp)], logp, rtol=1e-5, atol=1e-5)
    assert bool((packed_BGC[~mask_BGC] == 0).all())

    weight_BGC = torch.linspace(-1, 2, packed_BGC.numel()).reshape(packed_BGC.shape)
    ours = gradients(policy, (packed_BGC * weight_BGC).sum())
    weighed = [
        (logp * weight_BGC[b, g, : len(logp)]).sum() for b, group in enumerate(alone) for g, logp in enumerate(group)
    ]
    theirs = gradients(stock, torch.stack(weighed).sum())
    assert ours.keys() == theirs.keys() and ours
    assert any("visual" in name for name in ours) == (tuning == "full")
    for name, gradient in ours.items():
        assert (gradient - theirs[name]).abs().max() <= 1e-5 * theirs[name].abs().max() + 1e-7, name


def test_words_before_the_video_are_read_as_separate_rows_are(tiny: PolicyBackbone) -> None:
    """Packed log-probs, and those that a rollout notes, beside a prompt with the video first."""
    prompts = [
        tiny.encode(Prompt("When does it rise?", video_first=first), clip(tiny, 6, 2.0))
        for first in (False, True, False)
    ]
    before = prompts[0].input_ids.tolist().index(tiny.model.config.video_token_id)
    assert before > prompts[1].input_ids.tolist().index(tiny.model.config.video_token_id)
    assert int(prompts[0].position_ids[0, before]) == before  # the video's ids begin where the words end
    with torch.no_grad():
        packed_BGC, mask_BGC = tiny.logp(prompts, COMPLETIONS)
        alone = torch.cat([logp for group in separate(tiny, prompts) for logp in group])
        torch.testing.assert_close(packed_BGC[mask_BGC], alone, rtol=1e-5, atol=1e-5)
        uniforms = StepContext(0, "test", 0, 0).uniforms([0, 1, 2], 2, 8)
        groups = generate(tiny, prompts, tiny.video_features(prompts), 2, GenerationSettings(8), uniforms)
        logp_BGC, mask_BGC = tiny.logp(prompts, [[c.token_ids for c in group] for group in groups])
    noted = torch.tensor([logp for group in groups for c in group for logp in c.logp])
    torch.testing.assert_close(logp_BGC[mask_BGC], noted, rtol=1e-5, atol=1e-5)


def _awaken_adapters(policy: PolicyBackbone) -> None:
    """Fresh adapters are zero on one side, and so would be the gradients of the other."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.02 * torch.randn(parameter.shape, generator=generator))


def test_bfloat16_rows_are_as_near_the_truth_as_separate_ones(
    tiny: PolicyBackbone, checkpoint: str, prompts: list[EncodedPrompt]
) -> None:
    """In bfloat16 no two layouts agree to the last bit; the packed one is not further from float32 than the other."""
    policy = PolicyBackbone(PolicySettings(checkpoint, dtype="bfloat16")).eval()
    with torch.no_grad():
        packed_BGC, mask_BGC = policy.logp(prompts, COMPLETIONS)
        exact = tiny.logp(prompts, COMPLETIONS)[0][mask_BGC]
        alone = torch.cat([logp for group in separate(policy, prompts) for logp in group])
    ours, theirs = (packed_BGC[mask_BGC] - exact).abs(), (alone - exact).abs()
    assert ours.mean() <= 1.25 * theirs.mean() + 1e-3


def test_under_autocast_rows_are_as_near_the_truth_as_separate_ones(
    tiny: PolicyBackbone, checkpoint: str, prompts: list[EncodedPrompt]
) -> None:
    """``bf16-mixed``: float32 weights, products in bfloat16. Norms of queries and keys must not widen them."""
    stock = published(vision_too(checkpoint), tiny).eval()
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        logp_BGC, mask_BGC = tiny.logp(prompts, COMPLETIONS)
        logp_BGC.sum().backward()
        with torch.no_grad():
            alone = torch.cat([logp for group in separate(stock, prompts) for logp in group])
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in tiny.parameters())
    tiny.zero_grad()
    exact = tiny.logp(prompts, COMPLETIONS)[0][mask_BGC]
    ours, theirs = (logp_BGC[mask_BGC] - exact).abs(), (alone - exact).abs()
    assert ours.mean() <= 1.25 * theirs.mean() + 1e-3 and ours.mean() < 0.1


def test_a_completion_does_not_see_its_neighbours(tiny: PolicyBackbone, prompts: list[EncodedPrompt]) -> None:
    with torch.no_grad():
        before = tiny.logp(prompts[:1], [[[20, 21], [30, 31]]])[0]
        after = tiny.logp(prompts[:1], [[[20, 21], [99, 98]]])[0]
    assert torch.equal(before[0, 0], after[0, 0])
    assert not torch.equal(before[0, 1], after[0, 1])


def test_a_row_has_no_padding(prompts: list[EncodedPrompt]) -> None:
    row = pack(prompts, COMPLETIONS)
    num_tokens = sum(len(c) for group in COMPLETIONS for c in group)
    assert row.input_ids_1N.shape[1] == sum(len(p.input_ids) for p in prompts) + num_tokens
    assert row.target_M.tolist() == [token for group in COMPLETIONS for c in group for token in c]
    assert row.mask_BGC.shape == (3, 3, 40) and int(row.mask_BGC.sum()) == num_tokens
    ends = [places.stop - 1 for places in row.layout.prompts]
    # three completions of the first prompt: the first token of each is predicted by the prompt's last
    start = row.layout.completions[0].start
    predictors = row.predictors(torch.arange(row.input_ids_1N.shape[1])[:, None])[:, 0]
    assert predictors[:5].tolist() == [ends[0], start, start + 1, ends[0], ends[0]]
    assert row.input_ids_1N[0, predictors[-1]] == 101


def test_the_gradient_of_a_prompts_end_is_summed_in_a_fixed_order(prompts: list[EncodedPrompt]) -> None:
    """Sixteen completions share it; with two threads, indexing gives another sum nearly every time."""
    row = pack(prompts[:1], [[[20 + g] * 12 for g in range(16)]])
    generator = torch.Generator().manual_seed(0)
    hidden_NH = torch.randn(row.input_ids_1N.shape[1], 512, generator=generator, requires_grad=True)
    weight_MH = torch.randn(16 * 12, 512, generator=generator)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        sums = [torch.autograd.grad((row.predictors(hidden_NH) * weight_MH).sum(), hidden_NH)[0] for _ in range(100)]
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, sums[0]) for one in sums)
    end = row.layout.prompts[0].stop - 1
    assert sums[0][end].tolist() == pytest.approx(weight_MH[::12].sum(0).tolist(), abs=1e-5)


def test_chunked_logits_change_nothing(tiny: PolicyBackbone, checkpoint: str, prompts: list[EncodedPrompt]) -> None:
    whole = tiny.logp(prompts, COMPLETIONS)[0]
    chunked = PolicyBackbone(replace(vision_too(checkpoint), logits_chunk=3)).eval()
    torch.testing.assert_close(chunked.logp(prompts, COMPLETIONS)[0], whole)


def test_the_tower_runs_once_forward_and_once_backward(checkpoint: str, prompts: list[EncodedPrompt]) -> None:
    policy = PolicyBackbone(vision_too(checkpoint))
    passes: list[str] = []
    block = policy.model.model.visual.blocks[0]
    block.register_forward_hook(lambda *_: passes.append("forward"))
    block.register_full_backward_hook(lambda *_: passes.append("backward"))
    features = policy.video_features(prompts)
    for _ in range(2):
        with torch.no_grad():
            policy.logp(prompts, COMPLETIONS, features)
    policy.logp(prompts, COMPLETIONS, features)[0].sum().backward()
    assert passes == ["forward", "backward"]
