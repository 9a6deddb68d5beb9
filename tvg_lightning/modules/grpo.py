"""GRPO: sample G completions of every prompt, score them, and make the better ones of each group likelier.

Shape suffixes: B prompts, G completions of each, C longest completion, N = B * G.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tvg_lightning.advantage import group_advantage, zero_spread_groups
from tvg_lightning.data.items import Item
from tvg_lightning.losses.grpo import grpo_loss, loss_denominator
from tvg_lightning.modules.grounding import GroundingModule
from tvg_lightning.modules.parallel import sum_over_ranks
from tvg_lightning.modules.settings import EvaluationSettings, GRPOSettings, OptimizerSettings
from tvg_lightning.modules.step import Place, StepResult
from tvg_lightning.policy.backbone import PolicyBackbone, Weights
from tvg_lightning.policy.rollout import Completion, sample
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.rewards.total import RewardParts, score
from tvg_lightning.schema import Method, MethodName, Task
from tvg_lightning.spans import iou_to_windows
from tvg_lightning.traces import Trace


def grpo_step(
    policy: PolicyBackbone,
    items: Sequence[Item],
    settings: GRPOSettings,
    method: Method,
    place: Place,
    reference: Weights | None = None,
) -> StepResult:
    """One on-policy step: sample -> reward -> advantage -> loss. ``reference`` is needed where beta > 0."""
    prompts = [policy.encode(item.prompt, item.clip) for item in items]
    features = policy.see(prompts)
    positions = [item.position for item in items]
    uniform_NT = place.uniforms(positions, settings.num_generations, settings.sampling.max_new_tokens)
    groups = sample(policy, prompts, features, settings.num_generations, settings.sampling, uniform_NT)

    scores = [[_score(item, completion, settings, method) for completion in group]
              for item, group in zip(items, groups, strict=True)]  # fmt: skip
    reward_BG = torch.tensor([[s.total for s in group] for group in scores], device=policy.device)
    advantage_BG = group_advantage(reward_BG, settings.advantage)

    ids = [[completion.token_ids for completion in group] for group in groups]
    temperature = settings.sampling.temperature
    logp_BGC, mask_BGC = policy.logp(prompts, ids, features, temperature)
    logp_ref_NC = None
    if settings.beta > 0:
        assert reference is not None, "beta > 0 needs the stage's first weights"
        with torch.no_grad(), policy.using(reference):
            logp_ref_NC = policy.logp(prompts, ids, None if policy.sees_with_gradient else features, temperature)[0]
            logp_ref_NC = logp_ref_NC.flatten(0, 1)
    logp_NC, mask_NC = logp_BGC.flatten(0, 1), mask_BGC.flatten(0, 1)
    denominator = loss_denominator(mask_NC, settings.reduction, settings.sampling.max_new_tokens)
    result = grpo_loss(
        logp_NC,
        logp_NC.detach(),  # on-policy: the policy that sampled is the policy that learns
        advantage_BG.flatten(),
        mask_NC,
        clip_low=settings.clip_low,
        clip_high=settings.clip_high,
        beta=settings.beta,
        logp_ref_NT=logp_ref_NC,
        kl=settings.kl,
        reduction=settings.reduction,
        denominator=sum_over_ranks(denominator) / place.world_size,
    )
    logs = _figures(groups, scores, reward_BG, logp_BGC, mask_BGC) | {"kl": float(result.kl)}
    return StepResult(result.loss, logs, _traces(items, groups, scores, advantage_BG, place))


def _score(item: Item, completion: Completion, settings: GRPOSettings, method: Method) -> RewardParts:
    return score(
        completion.text,
        item.task,
        method,
        item.sample.windows,
        item.sample.duration_s,
        item.query_verbs,
        settings.reward,
        settings.anchors,
    )


def _figures(
    groups: Sequence[Sequence[Completion]],
    scores: Sequence[Sequence[RewardParts]],
    reward_BG: Tensor,
    logp_BGC: Tensor,
    mask_BGC: Tensor,
) -> dict[str, float]:
    """What a person wants to see of a step: rewards by part, spread, lengths, how sure the policy is."""
    flat = [s for group in scores for s in group]
    figures = {
        "reward": float(reward_BG.mean()),
        "reward_std": float(reward_BG.std(1).mean()),
        "zero_spread": float(zero_spread_groups(reward_BG).float().mean()),
        "length": float(mask_BGC.sum(2).float().mean()),
        "cut_off": sum(not c.finished for group in groups for c in group) / len(flat),
        "surprise": float(-logp_BGC.detach().sum() / mask_BGC.sum()),  # mean -log p of what was sampled
    }
    for name in sorted({name for s in flat for name in s.parts}):
        values = [s.parts[name] for s in flat if name in s.parts]
        figures[f"reward/{name}"] = sum(values) / len(values)
    return figures


def _traces(
    items: Sequence[Item],
    groups: Sequence[Sequence[Completion]],
    scores: Sequence[Sequence[RewardParts]],
    advantage_BG: Tensor,
    place: Place,
) -> list[Trace]:
    advantages = advantage_BG.tolist()
    return [
        trace_of(item, completion.text, len(completion.token_ids), parts, place, item.position, g, advantages[b][g])
        for b, item in enumerate(items)
        for g, (completion, parts) in enumerate(zip(groups[b], scores[b], strict=True))
    ]


def trace_of(
    item: Item,
    text: str,
    num_tokens: int,
    parts: RewardParts,
    place: Place,
    group: int,
    rollout: int,
    advantage: float,
) -> Trace:
    """The record of one completion."""
    windows, answer = item.sample.windows, parts.answer
    is_grounding = item.task == Task.TVG and bool(windows)
    return Trace(
        stage=place.stage,
        step=place.step,
        epoch=place.epoch,
        sample_id=item.sample.sample_id,
        video=item.sample.video,
        task=item.task,
        query=item.sample.query,
        windows=windows,
        duration_s=item.sample.duration_s,
        text=text,
        well_formed=answer.well_formed,
        anchors=answer.anchors,
        answer=answer.span,
        anchor_ious=tuple(iou_to_windows(a, windows) for a in answer.anchors) if is_grounding else (),
        answer_iou=iou_to_windows(answer.span, windows) if is_grounding else None,
        rewards=parts.parts,
        reward=parts.total,
        advantage=advantage,
        num_tokens=num_tokens,
        group=group,
        rollout=rollout,
    )


class GRPOModule(GroundingModule):
    """GRPO from a checkpoint for as many steps as the trainer is given."""

    def __init__(
        self,
        policy: PolicySettings,
        grpo: GRPOSettings,
        optimizer: OptimizerSettings | None = None,
        method: MethodName = "tar_tvg",
        evaluation: EvaluationSettings | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(policy, method, evaluation or EvaluationSettings(), seed)
        self.save_hyperparameters()
        self.grpo = grpo
        self.optimizer_settings = optimizer or OptimizerSettings()
        self.reference: Weights | None = None

    def configure_model(self) -> None:
        super().configure_model()
        if self.grpo.beta > 0 and self.reference is None:
            self.reference = self.policy.trainable_weights()

    def take_step(self, items: Sequence[Item]) -> StepResult:
        return grpo_step(self.policy, items, self.grpo, self.method, self.place(), self.reference)
