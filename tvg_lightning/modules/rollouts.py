"""A rollout: completions of a few prompts, what they are worth, and all that the updates on them need.

Shape suffixes: B prompts, G completions of each, C longest completion.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tvg_lightning.advantage import constant_groups, group_advantage
from tvg_lightning.data.items import Item
from tvg_lightning.modules.grpo_settings import GRPOSettings
from tvg_lightning.modules.oracle_row import OracleRow, oracle_row
from tvg_lightning.modules.phases import Phases
from tvg_lightning.modules.step import StepContext
from tvg_lightning.modules.warm_start import prefix_ids
from tvg_lightning.oracle import oracle_group
from tvg_lightning.parallel import max_over_ranks, rows_of_all_ranks
from tvg_lightning.policy.backbone import PolicyBackbone, Weights
from tvg_lightning.policy.frame_dependence import Order, frame_dependence, orders_of
from tvg_lightning.policy.generation import Completion, RolloutEngine
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.rewards.total import RewardParts, Rewards
from tvg_lightning.schema import Task

DrawItems = Callable[[str, int], list[Item]]  # a key and a count: items at random, the same for the same key


@dataclass(slots=True)
class Group:
    """One prompt, its G completions, and what each of them earned."""

    item: Item
    prompt: EncodedPrompt
    features: Tensor  # of the video, with a gradient where the vision side is trained
    completions: list[Completion]
    scores: list[RewardParts]
    dependences: list[float] | None = None  # d of each completion (``policy.frame_dependence``); None: not measured
    oracle: OracleRow | None = None  # the annotation as one more row, for OraRL
    prefixes: list[tuple[int, ...]] | None = None  # with which the completions begin, for TaRO's warm start

    @property
    def rewards(self) -> list[float]:
        return [score.total for score in self.scores]

    @property
    def token_ids(self) -> list[tuple[int, ...]]:
        return [completion.token_ids for completion in self.completions]

    @property
    def is_constant(self) -> bool:
        """True where all rewards are equal, so that the group teaches nothing."""
        return bool(constant_groups(torch.tensor([self.rewards])))

    @property
    def rows(self) -> list[tuple[tuple[int, ...], bool]]:
        """Tokens of every row, and whether it was truncated: the completions, then the oracle row if there is one."""
        oracle = [] if self.oracle is None else [(self.oracle.token_ids, False)]
        return [(completion.token_ids, completion.truncated) for completion in self.completions] + oracle

    @property
    def logp_sampled(self) -> list[tuple[float, ...]]:
        """The engine's log-probs of every row's tokens; NaN for those that it did not sample.

        These are beginnings that were given and the oracle row. ValueError where the engine does not tell.
        """
        prefixes = self.prefixes or [()] * len(self.completions)
        rows = []
        for completion, prefix in zip(self.completions, prefixes, strict=True):
            num_tokens, num_logps = len(completion.token_ids), len(completion.logp)
            if num_logps != num_tokens:
                raise ValueError(
                    f"the engine gave {num_logps} log-probabilities with a completion of {num_tokens} tokens: it must "
                    "give one a token, or set grpo.importance_correction to null"
                )
            rows.append((math.nan,) * len(prefix) + completion.logp[len(prefix) :])
        return rows if self.oracle is None else [*rows, (math.nan,) * len(self.oracle.token_ids)]


@dataclass(slots=True)
class Minibatch:
    """The part of a rollout that one update learns from."""

    items: list[Item]
    prompts: list[EncodedPrompt]
    features: list[Tensor] | None  # None: to be computed anew, with a gradient
    ids: list[list[tuple[int, ...]]]  # tokens of the rows that are learned from, B lists of as many (G, or as pruned)
    truncated: list[list[bool]]
    advantage_BG: Tensor
    logp_old_BGC: Tensor | None = None  # None: on-policy, the policy that sampled is the one that learns
    logp_ref_BGC: Tensor | None = None  # None: no KL
    is_warm_B: list[bool] | None = None  # completions began with captions: no ratio and no clipping; None: nowhere
    logp_sampled_BGC: Tensor | None = None  # of another engine, NaN where it did not sample; None: the policy itself
    numbers: list[Sequence[int]] | None = None  # of the rows in ``Group.rows``; None in a rollout that is gone on with
    gap_BGC: Tensor | None = None  # ``gap_to_engine``, once it is known

    def gap_to_engine(self, logp_old_BGC: Tensor) -> Tensor | None:
        """The policy's log-probs before any update less the engine's, NaN where it did not sample; None without any."""
        return None if self.logp_sampled_BGC is None else logp_old_BGC - self.logp_sampled_BGC


@dataclass(slots=True)
class Rollout:
    """The minibatches of a rollout, and how many updates have been made on them."""

    minibatches: list[Minibatch]
    num_taken: int = 0

    def is_used_up(self, num_iterations: int) -> bool:
        """True when every minibatch has had its updates."""
        return self.num_taken >= len(self.minibatches) * num_iterations

    @property
    def gaps_to_engine(self) -> list[Tensor]:
        """``gap_to_engine`` of the minibatches; [] where the engine is the policy, or their loss is to tell it."""
        return [part.gap_BGC for part in self.minibatches if part.gap_BGC is not None]

    def next_minibatch(self) -> Minibatch:
        """Minibatches in their order, over and over."""
        self.num_taken += 1
        return self.minibatches[(self.num_taken - 1) % len(self.minibatches)]


@dataclass(slots=True)
class Sampled:
    """The result of generation: the groups to learn from, and those that were replaced for being constant."""

    groups: list[Group]
    replaced: list[Group]


@dataclass(frozen=True, slots=True)
class Sampler:
    """Answers and scores the prompts of one step."""

    policy: PolicyBackbone
    settings: GRPOSettings
    rewards: Rewards
    engine: RolloutEngine
    context: StepContext
    phases: Phases

    def groups(self, items: Sequence[Item], at_once: int) -> list[Group]:
        """Answer every item G times and score the answers, ``at_once`` prompts at a time."""
        return [group for i in range(0, len(items), at_once) for group in self._groups(items[i : i + at_once])]

    def _groups(self, items: Sequence[Item]) -> list[Group]:
        policy, settings = self.policy, self.settings
        self.phases.enter("vision")
        prompts = [policy.encode(item.prompt, item.clip) for item in items]
        features = policy.video_features(prompts)
        self.phases.enter("rollout")
        positions = [item.position for item in items]
        uniform_NT = self.context.uniforms(positions, settings.num_generations, settings.generation.max_new_tokens)
        prefixes = [self._prefixes(item) for item in items]
        more: dict[str, Any] = {"prefixes": prefixes} if any(map(any, prefixes)) else {}
        completions = self.engine(
            policy, prompts, features, settings.num_generations, settings.generation, uniform_NT, **more
        )
        groups = [
            Group(
                item, prompt, feature, group, [self._score(item, completion) for completion in group],
                prefixes=given if any(given) else None,
            )
            for item, prompt, feature, group, given in zip(items, prompts, features, completions, prefixes, strict=True)
        ]  # fmt: skip
        if settings.oracle is not None:
            for group in groups:
                group.oracle = oracle_row(policy, self.rewards, group.item, settings.generation.max_new_tokens)
        if self.rewards.weights.frame_dependence > 0.0:
            self.phases.enter("frame_dependence")
            self._add_frame_dependence(groups)
            self.phases.enter("rollout")
        return groups

    def _prefixes(self, item: Item) -> list[tuple[int, ...]]:
        """The beginning of every completion of a prompt; empty ones but in a warm start."""
        settings = self.settings
        starts_warm = settings.warm_start is not None and self.context.epoch_of_stage < settings.warm_start.epochs
        if not (starts_warm and item.task is Task.TVG):
            return [()] * settings.num_generations
        choosers = [self.context.captions(item.position, n) for n in range(settings.num_generations)]
        limit = settings.generation.max_new_tokens
        return [prefix_ids(self.policy, item.sample, chooser, limit) for chooser in choosers]

    def _add_frame_dependence(self, groups: Sequence[Group]) -> None:
        """Measure how much the completions of grounding prompts depend on the frames, and reward it."""
        found = frame_dependence(
            self.policy,
            [group.prompt for group in groups],
            [group.token_ids for group in groups],
            [group.features for group in groups],
            [self._orders(group.item) for group in groups],
            self.settings.generation.temperature,
        )
        for group, dependences in zip(groups, found, strict=True):
            group.dependences, windows = dependences, group.item.sample.windows
            if group.item.task is Task.TVG and windows is not None:
                group.scores = self.rewards.with_frame_dependence(group.scores, windows, dependences)

    def _orders(self, item: Item) -> list[Order] | None:
        """An order of the frames for each completion; None where there is nothing to shuffle, or no true window."""
        shuffles = [self.context.shuffle(item.position, n) for n in range(self.settings.num_generations)]
        return orders_of(item, self.rewards.frame_dependence.radius_s, shuffles)

    def _score(self, item: Item, completion: Completion) -> RewardParts:
        num_tokens = len(completion.token_ids)
        return self.rewards.score(completion.text, item.task, item.sample, item.query_verbs, num_tokens)


def dynamic_sampling(sampler: Sampler, items: Sequence[Item], draw: DrawItems) -> Sampled:
    """The groups of ``items``, of which constant ones are replaced by drawn ones that are not (DAPO).

    At most ``resampling_rounds`` rounds; in each every process samples as many prompts as the neediest one
    lacks, so that all do the same. What is still constant after that stays: it has no gradient.
    """
    settings, context = sampler.settings, sampler.context
    minibatch = len(items) // settings.num_minibatches
    sampled = Sampled(sampler.groups(items, minibatch), [])
    for turn in range(settings.resampling_rounds):
        num_needed = max_over_ranks(sum(group.is_constant for group in sampled.groups), sampler.policy.device)
        if num_needed == 0:
            break
        fresh = draw(f"{context.stage} {context.step} {turn}", num_needed)
        _replace_constant(sampled, sampler.groups(fresh, minibatch))
    return sampled


def _replace_constant(sampled: Sampled, fresh: list[Group]) -> None:
    useful = [group for group in fresh if not group.is_constant]
    sampled.replaced += [group for group in fresh if group.is_constant]
    for number, group in enumerate(sampled.groups):
        if group.is_constant and useful:
            sampled.replaced.append(group)
            sampled.groups[number] = useful.pop(0)
    sampled.replaced += useful


@dataclass(frozen=True, slots=True)
class Learned:
    """The rows of every group that are learned from, by their numbers in ``Group.rows``, and their advantages."""

    rows: list[Sequence[int]]  # B lists of R
    advantage_BR: Tensor

    def by_row(self) -> list[dict[int, float]]:
        """The advantage of each row that is learned from, for every group."""
        given = zip(self.rows, self.advantage_BR.tolist(), strict=True)
        return [dict(zip(rows, advantages, strict=True)) for rows, advantages in given]


def learned_rows(groups: Sequence[Group], settings: GRPOSettings, device: torch.device) -> Learned:
    """All completions with their advantages; with ``grpo.oracle`` the rows that pruning keeps, the oracle's last."""
    if settings.oracle is None:
        return Learned([range(len(group.completions)) for group in groups], advantages(groups, settings, device))
    kept = []
    for group in groups:
        assert group.oracle is not None, "the sampler gives every group its oracle row"
        kept.append(oracle_group(group.rewards, group.oracle.score.total, settings.oracle))
    return Learned([one.rows for one in kept], torch.tensor([one.advantages for one in kept], device=device))


def advantages(groups: Sequence[Group], settings: GRPOSettings, device: torch.device) -> Tensor:
    """(B, G); with scale "batch" the standard deviation is over the groups of all processes.

    Completions that begin with captions are learned where they are good and not unlearned where they are bad: their
    advantages are at least 0 (TaRO's "mask").
    """
    reward_BG = torch.tensor([group.rewards for group in groups], device=device)
    if settings.scale_rewards != "batch":
        advantage_BG = group_advantage(reward_BG, settings.scale_rewards, settings.advantage_eps)
    else:
        every_BG, ours = rows_of_all_ranks(reward_BG)
        advantage_BG = group_advantage(every_BG, "batch", settings.advantage_eps)[ours]
    is_warm_B1 = torch.tensor([[group.prefixes is not None] for group in groups], device=device)
    return torch.where(is_warm_B1, advantage_BG.clamp(min=0.0), advantage_BG)


def prepare(
    policy: PolicyBackbone,
    groups: Sequence[Group],
    learned: Learned,
    settings: GRPOSettings,
    reference: Weights | None,
    sampled_elsewhere: bool = False,
) -> Rollout:
    """Cut a rollout into minibatches, with the log-probabilities that must be taken before any update.

    ``sampled_elsewhere``: the engine is not the policy itself, so its log-probabilities are kept beside the policy's.
    """
    size = len(groups) // settings.num_minibatches
    is_on_policy = settings.updates_per_rollout == 1
    parts = []
    for i in range(0, len(groups), size):
        chunk = groups[i : i + size]
        rows = [
            [group.rows[number] for number in numbers]
            for group, numbers in zip(chunk, learned.rows[i : i + size], strict=True)
        ]
        keeps_features = is_on_policy or not policy.features_need_grad
        part = Minibatch(
            [group.item for group in chunk],
            [group.prompt for group in chunk],
            [group.features for group in chunk] if keeps_features else None,
            [[ids for ids, _ in group] for group in rows],
            [[truncated for _, truncated in group] for group in rows],
            learned.advantage_BR[i : i + size],
            is_warm_B=None if settings.warm_start is None else [group.prefixes is not None for group in chunk],
            numbers=learned.rows[i : i + size],
        )
        if sampled_elsewhere:
            part.logp_sampled_BGC = _logp_sampled(chunk, learned.rows[i : i + size], policy.device)
        with torch.no_grad():
            temperature = settings.generation.temperature
            if not is_on_policy:
                part.logp_old_BGC = policy.logp(part.prompts, part.ids, part.features, temperature)[0]
                part.gap_BGC = part.gap_to_engine(part.logp_old_BGC)
            if settings.beta > 0:
                assert reference is not None, "beta > 0 needs the reference's weights"
                with policy.using(reference):
                    features = None if policy.features_need_grad else part.features
                    part.logp_ref_BGC = policy.logp(part.prompts, part.ids, features, temperature)[0]
        parts.append(part)
    return Rollout(parts)


def _logp_sampled(groups: Sequence[Group], rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """The engine's log-probs of the rows that are learned from, (B, G, C); NaN where it did not sample."""
    every = [group.logp_sampled for group in groups]
    learned = [torch.tensor(every[b][number], device=device) for b, numbers in enumerate(rows) for number in numbers]
    padded_NC = pad_sequence(learned, batch_first=True, padding_value=math.nan)
    return padded_NC.float().unflatten(0, (len(groups), -1))


def rollout_state(rollout: Rollout) -> dict[str, Any]:
    """The part of a rollout with updates left that a checkpoint keeps: no pixels, they can be read again."""
    return {
        "num_taken": rollout.num_taken,
        "minibatches": [
            {
                "questions": [(item.sample.sample_id, item.task.value, item.position) for item in part.items],
                "ids": part.ids,
                "truncated": part.truncated,
                "advantage": part.advantage_BG.cpu(),
                "is_warm": part.is_warm_B,
                "logp_old": None if part.logp_old_BGC is None else part.logp_old_BGC.cpu(),
                "logp_ref": None if part.logp_ref_BGC is None else part.logp_ref_BGC.cpu(),
                "logp_sampled": None if part.logp_sampled_BGC is None else part.logp_sampled_BGC.cpu(),
            }
            for part in rollout.minibatches
        ],
    }


ItemsAgain = Callable[[Sequence[tuple[str, Task, int]]], list[Item]]


def restored_rollout(policy: PolicyBackbone, state: dict[str, Any], items_again: ItemsAgain) -> Rollout:
    """The rollout of ``rollout_state``, with its videos read and encoded again."""
    parts = []
    for saved in state["minibatches"]:
        items = items_again([(name, Task(task), position) for name, task, position in saved["questions"]])
        prompts = [policy.encode(item.prompt, item.clip) for item in items]
        features = None if policy.features_need_grad else policy.video_features(prompts)
        advantage_BG, logp_old_BGC, logp_ref_BGC, logp_sampled_BGC = (
            None if saved.get(name) is None else saved[name].to(policy.device)
            for name in ("advantage", "logp_old", "logp_ref", "logp_sampled")
        )
        assert advantage_BG is not None
        ids, truncated, is_warm = saved["ids"], saved["truncated"], saved.get("is_warm")
        part = Minibatch(items, prompts, features, ids, truncated, advantage_BG, logp_old_BGC, logp_ref_BGC, is_warm)
        part.logp_sampled_BGC = logp_sampled_BGC
        parts.append(part)
    return Rollout(parts, state["num_taken"])
