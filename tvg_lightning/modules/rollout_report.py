"""The account of a rollout: its metrics, the operations it needed, a trace of every completion, IoUs by sample.

Shape suffixes: B prompts, G completions of each.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from tvg_lightning.advantage import constant_groups
from tvg_lightning.modules.rollouts import Group, Learned, Rollout, Sampled
from tvg_lightning.modules.step import StepContext
from tvg_lightning.parsing import read_thought
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.schema import AnswerFormat, Task
from tvg_lightning.span_sets import answer_iou
from tvg_lightning.timestrings import names_time
from tvg_lightning.traces import Trace

_MOST_NATS = 1e6  # a file of traces holds no infinite number


def rollout_metrics(sampled: Sampled) -> dict[str, float]:
    """Metrics of all that was sampled: rewards by part, their deviation, lengths, negative log-likelihood."""
    groups = [*sampled.groups, *sampled.replaced]
    completions = [c for group in groups for c in group.completions]
    scores = [s for group in groups for s in group.scores]
    reward_BG = torch.tensor([group.rewards for group in groups])
    num_tokens = sum(len(c.token_ids) for c in completions)
    metrics = {
        "reward": float(reward_BG.mean()),
        "reward_std": float(reward_BG.std(1).mean()),
        "frac_reward_zero_std": float(constant_groups(reward_BG).float().mean()),
        "resampled": len(sampled.replaced) / len(sampled.groups),
        "completion_length": num_tokens / len(completions),
        "truncated": sum(c.truncated for c in completions) / len(completions),
        "nll": _nll(groups),
    }
    for name in sorted({name for s in scores for name in s.parts}):
        values = [s.parts[name] for s in scores if name in s.parts]
        metrics[f"reward/{name}"] = sum(values) / len(values)
    dependences = [d for group in groups for d in group.dependences or ()]
    if dependences:
        metrics["frame_dependence"] = sum(dependences) / len(dependences)
    metrics |= _warm_start_metrics(groups)
    told = [names_time(thought) for thought in _thoughts(groups)]
    if told:
        metrics["thoughts_with_time"] = sum(told) / len(told)
    return metrics


def _nll(groups: Sequence[Group]) -> float:
    """The mean -log p of what was sampled: without the beginnings that were given, and what an engine leaves open."""
    sampled = [
        c.logp[0 if group.prefixes is None else len(group.prefixes[number]) :]
        for group in groups
        for number, c in enumerate(group.completions)
    ]
    told = [[logp for logp in logps if not math.isnan(logp)] for logps in sampled]
    return -sum(map(sum, told)) / max(1, sum(map(len, told)))


def _warm_start_metrics(groups: Sequence[Group]) -> dict[str, float]:
    """The share of completions that began with captions, in a run where some did; {} where none did."""
    num_warm = sum(len(group.completions) for group in groups if group.prefixes is not None)
    return {"warm_start": num_warm / sum(len(group.completions) for group in groups)} if num_warm else {}


def _thoughts(groups: Sequence[Group]) -> list[str]:
    """The thoughts of all grounding completions that have one and wrote it themselves."""
    own = [group for group in groups if group.item.task is Task.TVG and group.prefixes is None]
    texts = [c.text for group in own for c in group.completions]
    return [thought for text in texts if (thought := read_thought(text)) is not None]


def oracle_metrics(groups: Sequence[Group], learned: Learned) -> dict[str, float]:
    """The oracle rows' mean reward and advantage, and the share of all rows that pruning left out; {} without them."""
    rewards = [group.oracle.score.total for group in groups if group.oracle is not None]
    if not rewards:
        return {}
    return {
        "oracle_reward": sum(rewards) / len(rewards),
        "oracle_advantage": float(learned.advantage_BR[:, -1].mean()),
        "pruned": 1.0 - sum(map(len, learned.rows)) / sum(len(group.rows) for group in groups),
    }


def rollout_flops(policy: PolicyBackbone, sampled: Sampled, rollout: Rollout) -> float:
    """The operations that sampling and the passes before the first update need at least."""
    groups = [*sampled.groups, *sampled.replaced]
    everyone = policy.flops([group.prompt for group in groups], [group.token_ids for group in groups])
    passes = 0.0
    for part in rollout.minibatches:
        num_passes = (part.logp_old_BGC is not None) + (part.logp_ref_BGC is not None)
        passes += num_passes * policy.flops(part.prompts, part.ids).loss if num_passes else 0.0
    return everyone.vision + everyone.rollout + passes + _shuffled_flops(policy, groups)


def _shuffled_flops(policy: PolicyBackbone, groups: Sequence[Group]) -> float:
    """The operations of measuring d: completions with their prompt once, and each again with a prompt of its own."""
    measured = [group for group in groups if group.dependences is not None]
    alone = [(group.prompt, [[ids]]) for group in measured for ids in group.token_ids]
    together = policy.flops([group.prompt for group in measured], [group.token_ids for group in measured]).loss
    return together + sum(policy.flops([prompt], ids).loss for prompt, ids in alone)


def rollout_traces(sampled: Sampled, learned: Learned, context: StepContext, form: AnswerFormat) -> list[Trace]:
    """A trace of every completion; those of replaced groups have advantage 0, for nobody learns from them.

    The oracle row is no completion and has none; its advantage stands in the traces of its group.
    """
    given = [*zip(sampled.groups, learned.by_row(), strict=True)]
    given += [(group, dict.fromkeys(range(len(group.completions)), 0.0)) for group in sampled.replaced]
    return [
        _trace(group, number, context, advantages, form)
        for group, advantages in given
        for number in range(len(group.completions))
    ]


def with_differences(traces: Sequence[Trace], rollout: Rollout) -> list[Trace]:
    """The traces with the ``logp_difference`` of their completions, where another engine sampled and the loss has told.

    It is the mean absolute difference (nats) over the tokens that the engine sampled; 1e6 stands for more than that,
    such as that of a token which one of the two holds to be impossible.
    """
    found: dict[tuple[int, int], float] = {}
    for part in rollout.minibatches if traces else ():
        if part.gap_BGC is None or part.numbers is None:
            continue
        difference_BG = part.gap_BGC.abs().nanmean(dim=2).clamp(max=_MOST_NATS).tolist()
        for item, numbers, differences in zip(part.items, part.numbers, difference_BG, strict=True):
            found |= {(item.position, number): one for number, one in zip(numbers, differences, strict=True)}
    told = {key: one for key, one in found.items() if not math.isnan(one)}
    return [replace(trace, logp_difference=told.get((trace.group, trace.rollout))) for trace in traces]


def mean_ious(sampled: Sampled) -> dict[str, float]:
    """The mean IoU of every grounding sample's answers, by sample id."""
    return {
        group.item.sample.sample_id: sum(answer_iou(s.answer, windows) for s in group.scores) / len(group.scores)
        for group in [*sampled.replaced, *sampled.groups]
        if group.item.task == Task.TVG and (windows := group.item.sample.windows) is not None
    }


def _trace(group: Group, number: int, context: StepContext, advantages: dict[int, float], form: AnswerFormat) -> Trace:
    item, scored, completion = group.item, group.scores[number], group.completions[number]
    return Trace.of(
        item.sample,
        item.task,
        scored.answer,
        completion.text,
        stage=context.stage,
        step=context.step,
        epoch=context.epoch,
        rewards=scored.parts,
        reward=scored.total,
        advantage=advantages.get(number, 0.0),
        num_tokens=len(completion.token_ids),
        group=item.position,
        rollout=number,
        frame_dependence=None if group.dependences is None else group.dependences[number],
        truncated=completion.truncated,
        last_frame_s=float(item.clip.times_s[-1]) if item.task == Task.TVG else None,
        form=form,
        pruned=number not in advantages,
        oracle_advantage=advantages.get(len(group.completions)),
        num_given_tokens=0 if group.prefixes is None else len(group.prefixes[number]),
    )
