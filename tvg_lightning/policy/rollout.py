"""Sampling G completions a prompt: the video is encoded and the prompt read once, its keys and values shared.

Shape suffixes: B prompts, R = B * G rows (those of one prompt stand together), P longest prompt, K keys so
far.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.logits import choose_tokens, policy_logits
from tvg_lightning.policy.rows import EncodedPrompt, pad_prompts
from tvg_lightning.policy.settings import SamplingSettings


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled completion: its ids (the end token included when it was reached), its text, its log-probs."""

    token_ids: tuple[int, ...]
    text: str
    logp: tuple[float, ...]
    finished: bool  # False when max_new_tokens cut it off


@dataclass(slots=True)
class _Decoding:
    """What changes from token to token; finished rows leave it."""

    rows: Tensor  # (R',) which of the R rows are still being written
    cache: DynamicCache
    seen_RK: Tensor  # bool, keys that are not padding
    position_R: Tensor  # mRoPE id of the next token, the same on all three axes
    logits_RV: Tensor


@torch.no_grad()
def sample(
    policy: PolicyBackbone,
    prompts: Sequence[EncodedPrompt],
    features: Sequence[Tensor],
    num_generations: int,
    sampling: SamplingSettings,
    uniform_RT: Tensor | None = None,
) -> list[list[Completion]]:
    """G completions of each prompt. ``uniform_RT`` (B * G, max_new_tokens) are the random numbers; None when greedy.

    The policy's training mode is left for the time of the rollout: with gradient checkpointing, transformers
    drops the cache of a training model with no more than a warning.
    """
    was_training = policy.training
    policy.eval()
    state = _prefill(policy, prompts, features, num_generations, sampling)
    ids: list[list[int]] = [[] for _ in range(len(prompts) * num_generations)]
    logps: list[list[float]] = [[] for _ in ids]
    for t in range(sampling.max_new_tokens):
        uniform_R = None if uniform_RT is None else uniform_RT[state.rows.cpu(), t]
        token_R = choose_tokens(state.logits_RV, sampling, uniform_R)
        logp_R = state.logits_RV.log_softmax(1).gather(1, token_R[:, None])[:, 0]
        for row, token, logp in zip(state.rows.tolist(), token_R.tolist(), logp_R.tolist(), strict=True):
            ids[row].append(token)
            logps[row].append(logp)
        open_R = token_R != policy.end_id
        if not bool(open_R.any()) or t == sampling.max_new_tokens - 1:
            break
        _advance(policy, state, token_R, open_R, sampling)
    policy.train(was_training)
    rows = [
        Completion(tuple(row), policy.ids_to_text(row), tuple(logp), row[-1] == policy.end_id)
        for row, logp in zip(ids, logps, strict=True)
    ]
    return [rows[i : i + num_generations] for i in range(0, len(rows), num_generations)]


def _prefill(
    policy: PolicyBackbone,
    prompts: Sequence[EncodedPrompt],
    features: Sequence[Tensor],
    num_generations: int,
    sampling: SamplingSettings,
) -> _Decoding:
    """Read every prompt once, then share what was read among its completions."""
    ids_BP, positions_3BP, mask_BP = (x.to(policy.device) for x in pad_prompts(prompts, "left"))
    num_P = ids_BP.shape[1]
    causal_PP = torch.ones(num_P, num_P, dtype=torch.bool, device=policy.device).tril()
    # padded queries attend to themselves
    identity_PP = torch.eye(num_P, dtype=torch.bool, device=policy.device)
    allowed_B1PP = ((causal_PP & mask_BP[:, None, :]) | identity_PP)[:, None]
    cache = DynamicCache(config=policy.text_config)
    hidden_BPH = policy.read(policy.embed(ids_BP, features), positions_3BP, allowed_B1PP, cache)
    cache.batch_repeat_interleave(num_generations)
    logits_BV = policy_logits(hidden_BPH[:, -1], policy.head, policy.suppressed_ids, sampling.temperature)
    next_B = positions_3BP.amax(dim=(0, 2)) + 1

    def share(x: Tensor) -> Tensor:
        return x.repeat_interleave(num_generations, dim=0)

    rows = torch.arange(len(prompts) * num_generations, device=policy.device)
    return _Decoding(rows, cache, share(mask_BP), share(next_B), share(logits_BV))


def _advance(
    policy: PolicyBackbone, state: _Decoding, token_R: Tensor, open_R: Tensor, sampling: SamplingSettings
) -> None:
    """Drop the finished rows, feed the new tokens of the others, and leave the logits of the next ones in the state."""
    if not bool(open_R.all()):
        kept = open_R.nonzero()[:, 0]
        state.cache.batch_select_indices(kept)
        state.rows, state.seen_RK, state.position_R = (
            state.rows[kept],
            state.seen_RK[kept],
            state.position_R[kept],
        )
        token_R = token_R[kept]
    state.seen_RK = torch.cat((state.seen_RK, torch.ones_like(state.seen_RK[:, :1])), dim=1)
    positions_3R1 = state.position_R[None, :, None].expand(3, -1, 1)
    hidden_R1H = policy.read(
        policy.embed(token_R[:, None], ()), positions_3R1, state.seen_RK[:, None, None, :], state.cache
    )
    state.position_R = state.position_R + 1
    state.logits_RV = policy_logits(hidden_R1H[:, 0], policy.head, policy.suppressed_ids, sampling.temperature)
