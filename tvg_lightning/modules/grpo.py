"""GRPO: sample G completions of every prompt, score them, and make the better ones of each group likelier.

Shape suffixes: B prompts, G completions of each, C longest completion, N = B * G.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from tvg_lightning.data.items import Item
from tvg_lightning.datamodule import DataPlan, TVGDataModule
from tvg_lightning.losses.grpo import grpo_loss, loss_denominator
from tvg_lightning.modules.grounding import GroundingModule
from tvg_lightning.modules.parallel import sum_over_ranks
from tvg_lightning.modules.rollouts import (
    Minibatch,
    Rollout,
    advantages,
    mean_ious,
    prepare,
    restored_rollout,
    rollout_figures,
    rollout_state,
    rollout_traces,
    sample_with_spread,
)
from tvg_lightning.modules.settings import EvaluationSettings, GRPOSettings, OptimizerSettings
from tvg_lightning.modules.step import Place, StepResult
from tvg_lightning.policy.backbone import PolicyBackbone, Weights
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.schema import Method, MethodName
from tvg_lightning.tasks.mixture import Mixture


class GRPOObjective:
    """GRPO as a training module uses it: a rollout now and then, an update every step."""

    def __init__(self, settings: GRPOSettings, method: Method) -> None:
        self.settings, self.method = settings, method
        self.reference: Weights | None = None  # what the KL is measured against, kept where beta > 0
        self.rollout: Rollout | None = None  # whose updates are not all made
        self._saved_rollout: dict[str, Any] | None = None

    def begin(self, policy: PolicyBackbone, base: Weights | None) -> None:
        """Take the reference: the policy as it is now, or the weights with which the run began."""
        if self.settings.beta > 0:
            self.reference = policy.trainable_weights() if self.settings.reference == "stage" else base

    def step(
        self, policy: PolicyBackbone, items: Sequence[Item], place: Place, data: TVGDataModule, mixture: Mixture
    ) -> StepResult:
        """One update, after a rollout where the last one is used up: sample -> reward -> advantage -> loss."""
        fresh = StepResult(torch.zeros(()), {})
        if self._saved_rollout is not None:
            self.rollout = restored_rollout(policy, self._saved_rollout, data.items_again)
            self._saved_rollout = None
        if self.rollout is None:
            self.rollout, fresh = self._roll_out(policy, items, place, data, mixture)
        step = grpo_update(policy, self.rollout.next_minibatch(), self.settings, place.world_size)
        if self.rollout.num_taken == self.settings.updates_per_rollout:
            self.rollout = None
        return replace(step, logs={**fresh.logs, **step.logs}, traces=fresh.traces, items=fresh.items)

    def _roll_out(
        self, policy: PolicyBackbone, items: Sequence[Item], place: Place, data: TVGDataModule, mixture: Mixture
    ) -> tuple[Rollout, StepResult]:
        settings = self.settings
        sampled = sample_with_spread(
            policy, items, settings, self.method, place, lambda key, count: data.spare_items(key, count, mixture)
        )
        data.report_ious(mean_ious(sampled))
        advantage_BG = advantages(sampled.groups, settings, policy.device)
        rollout = prepare(policy, sampled.groups, advantage_BG, settings, self.reference)
        everyone = [group.item for group in [*sampled.groups, *sampled.replaced]]
        traces = rollout_traces(sampled, advantage_BG, place)
        return rollout, StepResult(torch.zeros(()), rollout_figures(sampled), traces, everyone)

    def state_dict(self) -> dict[str, Any]:
        rollout = None if self.rollout is None else rollout_state(self.rollout)
        return {"reference": self.reference, "rollout": rollout}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.reference, self._saved_rollout = state["reference"], state["rollout"]


def grpo_update(policy: PolicyBackbone, part: Minibatch, settings: GRPOSettings, world_size: int) -> StepResult:
    """The loss of one minibatch; its denominator is over the minibatches of all processes."""
    logp_BGC, mask_BGC = policy.logp(part.prompts, part.ids, part.features, settings.sampling.temperature)
    if settings.mask_cut_off:
        mask_BGC = mask_BGC & torch.tensor(part.finished, device=mask_BGC.device)[..., None]
    logp_NC, mask_NC = logp_BGC.flatten(0, 1), mask_BGC.flatten(0, 1)
    denominator = loss_denominator(mask_NC, settings.reduction, settings.sampling.max_new_tokens)
    result = grpo_loss(
        logp_NC,
        logp_NC.detach() if part.logp_old_BGC is None else part.logp_old_BGC.flatten(0, 1),
        part.advantage_BG.flatten(),
        mask_NC,
        clip_low=settings.clip_low,
        clip_high=settings.clip_high,
        beta=settings.beta,
        logp_ref_NT=None if part.logp_ref_BGC is None else part.logp_ref_BGC.flatten(0, 1),
        kl=settings.kl,
        ratio_level=settings.ratio_level,
        reduction=settings.reduction,
        denominator=sum_over_ranks(denominator) / world_size,
    )
    figures = {"kl": float(result.kl)}
    if part.logp_old_BGC is not None:
        figures |= {"clip_fraction": float(result.clip_fraction), "ratio": float(result.ratio)}
    return StepResult(result.loss, figures)


class GRPOModule(GroundingModule):
    """GRPO from a checkpoint for as many steps as the trainer is given, on the datamodule's batches."""

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
        self.objective = GRPOObjective(grpo, self.method)

    def configure_model(self) -> None:
        is_new = not hasattr(self, "policy")
        super().configure_model()
        if is_new:
            self.objective.begin(self.policy, self.policy.trainable_weights())

    def data_plan(self) -> DataPlan:
        data = self.datamodule()
        return DataPlan(
            data.batch_size * self.grpo.num_minibatches,
            data.mixture,
            updates_per_batch=self.grpo.updates_per_rollout,
            goes_on=True,
        )

    def take_step(self, items: Sequence[Item]) -> StepResult:
        data = self.datamodule()
        return self.objective.step(self.policy, items, self.place(), data, data.mixture)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["objective"] = self.objective.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.objective.load_state_dict(checkpoint["objective"])
