"""A rollout in tensors and plain values: the question for an engine outside of the policy, and its answers.

The engine gets our prompt tokens, our position ids and the features of our vision tower, so nothing of a prompt is
computed in two ways. Shape suffixes: L tokens of a prompt, V video tokens of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import Prefixes, stops
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.policy.settings import GenerationSettings


@dataclass(frozen=True, slots=True)
class AskedPrompt:
    """A prompt with its video."""

    ids: tuple[int, ...]
    positions_3L: Tensor
    features: Tensor  # (V, (1 + k) * H), see ``Family.video_features``
    is_video_L: Tensor  # bool


@dataclass(frozen=True, slots=True)
class AskedRow:
    """A completion to sample."""

    prompt: int  # its number
    prefix: tuple[int, ...]  # tokens with which the completion begins
    seed: int
    is_over: bool = False  # the prefix ends the completion


@dataclass(frozen=True, slots=True)
class Asked:
    """All completions of one call."""

    prompts: list[AskedPrompt]
    rows: list[AskedRow]
    generation: GenerationSettings
    end_id: int

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt, and of its completions at most."""
        is_full = any(len(row.prefix) == self.generation.max_new_tokens for row in self.rows)
        more = self.generation.max_new_tokens + is_full  # vLLM draws one token behind the longest prefix, too
        return max(len(prompt.ids) for prompt in self.prompts) + more

    def num_more(self, row: AskedRow) -> int:
        """Tokens of a row that are to be sampled at most."""
        return 0 if row.is_over else self.generation.max_new_tokens - len(row.prefix)


@dataclass(frozen=True, slots=True)
class SampledRow:
    """A completion as an engine gives it: the prefix is part of ids and log-probs, as the end token is."""

    ids: tuple[int, ...]
    logp: tuple[float, ...]
    truncated: bool


def asked(
    policy: PolicyBackbone,
    prompts: Sequence[EncodedPrompt],
    features: Sequence[Tensor],
    num_generations: int,
    generation: GenerationSettings,
    uniform_RT: Tensor | None,
    prefixes: Prefixes | None,
) -> Asked:
    """The question that the arguments of a ``RolloutEngine`` ask; a row's seed follows from its first random number."""
    video_id = policy.model.config.video_token_id
    asked_prompts = [
        AskedPrompt(
            tuple(prompt.input_ids.tolist()),
            prompt.position_ids.cpu(),
            feature.detach(),
            prompt.input_ids.cpu() == video_id,
        )
        for prompt, feature in zip(prompts, features, strict=True)
    ]
    num_rows = len(prompts) * num_generations
    given = [tuple(prefix) for group in prefixes or () for prefix in group] or [()] * num_rows
    if any(given):
        check_penalty(generation.presence_penalty)
    seeds = [0] * num_rows if uniform_RT is None else (uniform_RT[:, 0].double() * 2**31).long().tolist()
    rows = [_row(policy, row // num_generations, given[row], seeds[row], generation) for row in range(num_rows)]
    return Asked(asked_prompts, rows, generation, policy.end_id)


def _row(
    policy: PolicyBackbone, prompt: int, prefix: tuple[int, ...], seed: int, generation: GenerationSettings
) -> AskedRow:
    """A row whose prefix ends where the builtin engine ends a completion, be it in a prefix."""
    most = generation.max_new_tokens
    for stop in range(1, min(len(prefix), most) + 1):
        if prefix[stop - 1] == policy.end_id or stops(policy.ids_to_text, prefix[:stop], generation.stop):
            return AskedRow(prompt, prefix[:stop], seed, is_over=True)
    return AskedRow(prompt, prefix[:most], seed)


def check_penalty(presence_penalty: float) -> None:
    """ValueError for a penalty of what a completion holds already, where it begins with tokens that are given."""
    if presence_penalty:
        raise ValueError(
            f"presence_penalty {presence_penalty:g}: on vLLM it does not reach the given beginning of a completion "
            "(evaluation.empty_thought): set it to 0, or take engine builtin"
        )


def positions_of(prompt: AskedPrompt, length: int) -> Tensor:
    """Position ids of a prompt and the tokens after it, (3, length): text goes on from the largest.

    >>> prompt = AskedPrompt((7, 9, 9), torch.tensor([[0, 1, 1], [0, 1, 1], [0, 1, 2]]), torch.empty(0), torch.empty(0))
    >>> positions_of(prompt, 5).tolist()
    [[0, 1, 1, 3, 4], [0, 1, 1, 3, 4], [0, 1, 2, 3, 4]]
    """
    start, num_more = int(prompt.positions_3L.max()) + 1, length - prompt.positions_3L.shape[1]
    more_3n = torch.arange(start, start + num_more).expand(3, -1)
    return torch.cat((prompt.positions_3L, more_3n), dim=1)
