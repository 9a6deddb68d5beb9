"""Generation of G completions a prompt: video and prompt are encoded once, keys and values shared.

Shape suffixes: B prompts, R = B * G rows (those of one prompt stand together), N tokens of all prompts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.blocked_weights import Product, in_blocks
from tvg_lightning.policy.captured_step import CapturedStep, can_capture
from tvg_lightning.policy.casting import cast_once
from tvg_lightning.policy.kv_cache import DecodeAttention, PrefillAttention
from tvg_lightning.policy.logits import choose_tokens, penalised, policy_logits
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.policy.settings import GenerationSettings
from tvg_lightning.policy.sharding import gathered
from tvg_lightning.policy.split_attention import row_layout

Prefixes = Sequence[Sequence[Sequence[int]]]  # B lists of G: the tokens with which a completion begins, perhaps none


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled completion: its ids (the end token included when it was reached), its text, its log-probs.

    A prefix that was given is part of all three, its log-probs the policy's.
    """

    token_ids: tuple[int, ...]
    text: str
    logp: tuple[float, ...]
    truncated: bool  # ended by max_new_tokens


class RolloutEngine(Protocol):
    """Generates completions: ``generate``, or an engine of your own that gives the policy's log-probs with them.

    For ``grpo.warm_start`` and ``evaluation.empty_thought`` it must also take ``prefixes`` by name (``generate`` does);
    it is given them then alone.
    """

    def __call__(
        self,
        policy: PolicyBackbone,
        prompts: Sequence[EncodedPrompt],
        features: Sequence[Tensor],
        num_generations: int,
        generation: GenerationSettings,
        uniform_RT: Tensor | None = None,
    ) -> list[list[Completion]]: ...


def is_policy_itself(engine: RolloutEngine) -> bool:
    """True for ``generate``, whose log-probs are those of the loss; False for any other engine."""
    return engine is generate


@dataclass(slots=True)
class _Decoding:
    """The state that changes from token to token; finished rows leave it, many at a time where steps are captured."""

    rows: list[int]  # those of the R rows that still decode
    attention: DecodeAttention
    step: CapturedStep
    position_R: Tensor  # mRoPE id of the next token, the same on all three axes
    logits_RV: Tensor


@torch.no_grad()
def generate(
    policy: PolicyBackbone,
    prompts: Sequence[EncodedPrompt],
    features: Sequence[Tensor],
    num_generations: int,
    generation: GenerationSettings,
    uniform_RT: Tensor | None = None,
    prefixes: Prefixes | None = None,
) -> list[list[Completion]]:
    """G completions of each prompt. ``uniform_RT`` (B * G, max_new_tokens) are the random numbers; None when greedy.

    A completion that has a prefix goes on from it; its tokens count towards ``max_new_tokens``.
    """
    was_training = policy.training
    policy.eval()  # with gradient checkpointing, a training model would run its layers as checkpoints
    given = [prefix for group in prefixes or () for prefix in group]
    try:
        # gathered once for all tokens: ranks with longer answers take more turns without waiting
        with gathered(policy), cast_once(policy) as head_VH, in_blocks(policy, head_VH) as head:
            rows = _generate(policy, head, prompts, features, num_generations, generation, uniform_RT, given)
    finally:
        policy.train(was_training)
    return [rows[i : i + num_generations] for i in range(0, len(rows), num_generations)]


def _generate(
    policy: PolicyBackbone,
    head: Product,
    prompts: Sequence[EncodedPrompt],
    features: Sequence[Tensor],
    num_generations: int,
    generation: GenerationSettings,
    uniform_RT: Tensor | None,
    prefixes: Sequence[Sequence[int]],
) -> list[Completion]:
    state = _prefill(policy, head, prompts, features, num_generations, generation)
    ids: list[list[int]] = [[] for _ in range(len(prompts) * num_generations)]
    logps: list[list[float]] = [[] for _ in ids]
    ended = [False for _ in ids]
    for t in range(generation.max_new_tokens):
        uniform_R = None if uniform_RT is None else uniform_RT[state.rows, t]
        chosen_from_RV = state.logits_RV
        if generation.has_penalties:  # the log-probs noted are the policy's, without them
            asked = [prompts[row // num_generations].input_ids for row in state.rows]
            chosen_from_RV = penalised(state.logits_RV, asked, [ids[row] for row in state.rows], generation)
        token_R = choose_tokens(chosen_from_RV, generation, uniform_R)
        for number, row in enumerate(state.rows if prefixes else ()):
            if t < len(prefixes[row]):
                token_R[number] = prefixes[row][t]
        logp_R = state.logits_RV.gather(1, token_R[:, None])[:, 0] - state.logits_RV.logsumexp(1)
        for row, token, logp in zip(state.rows, token_R.tolist(), logp_R.tolist(), strict=True):
            if ended[row]:  # it has not left yet
                continue
            ids[row].append(token)
            logps[row].append(logp)
            ended[row] = token == policy.end_id or stops(policy.ids_to_text, ids[row], generation.stop)
        if t == generation.max_new_tokens - 1 or all(ended):
            break
        _decode_step(state, token_R, [not ended[row] for row in state.rows])
    return [
        Completion(tuple(row), policy.completion_text(row), tuple(logp), truncated=not done)
        for row, logp, done in zip(ids, logps, ended, strict=True)
    ]


def stops(text_of: Callable[[Sequence[int]], str], ids: Sequence[int], strings: Sequence[str]) -> bool:
    """True where the newest token completes one of the strings. A token is at least one byte, so few of them tell."""
    return any(string in text_of(ids[-len(string.encode()) :]) for string in strings)


def _prefill(
    policy: PolicyBackbone,
    head: Product,
    prompts: Sequence[EncodedPrompt],
    features: Sequence[Tensor],
    num_generations: int,
    generation: GenerationSettings,
) -> _Decoding:
    """Encode every prompt once; its keys and values serve all its completions."""
    layout = row_layout([len(prompt.input_ids) for prompt in prompts])
    ids_1N = torch.cat([prompt.input_ids for prompt in prompts])[None].to(policy.device)
    positions_31N = torch.cat([prompt.position_ids for prompt in prompts], dim=1)[:, None].to(policy.device)
    prefill = PrefillAttention(layout)
    hidden_NH = policy.hidden_states(policy.embed(ids_1N, features), positions_31N, prefill)
    hidden_BH = hidden_NH[[prompt.stop - 1 for prompt in layout.prompts]]
    logits_BV = policy_logits(head(hidden_BH), policy.suppressed_ids, generation.temperature)
    position_B = torch.tensor([prompt.next_position for prompt in prompts], device=policy.device)
    attention = DecodeAttention(prefill, num_generations, is_static=can_capture(policy))

    def step(token_R: Tensor, position_R: Tensor) -> Tensor:
        hidden_RH = policy.hidden_states(policy.embed(token_R[None], ()), position_R.expand(3, 1, -1), attention)
        return policy_logits(head(hidden_RH), policy.suppressed_ids, generation.temperature)

    return _Decoding(
        list(range(len(prompts) * num_generations)),
        attention,
        CapturedStep(step),
        position_B.repeat_interleave(num_generations),
        logits_BV.repeat_interleave(num_generations, dim=0),
    )


def _decode_step(state: _Decoding, token_R: Tensor, is_open: list[bool]) -> None:
    """Drop the finished rows, feed the new tokens of the others, and leave the logits of the next ones in the state.

    A static step is captured anew when rows leave it, so they leave when half of them have finished.
    """
    least = len(is_open) // 2 if state.attention.is_static else len(is_open) - 1
    if sum(is_open) <= least:
        stay = [number for number, is_row_open in enumerate(is_open) if is_row_open]
        state.attention.keep(stay)
        state.rows = [state.rows[number] for number in stay]
        state.position_R, token_R = state.position_R[stay], token_R[stay]
    state.attention.make_room()
    if state.attention.is_static:
        state.logits_RV = state.step(state.attention.shape, token_R, state.position_R)
    else:
        state.logits_RV = state.step.plain(token_R, state.position_R)
    state.position_R = state.position_R + 1
