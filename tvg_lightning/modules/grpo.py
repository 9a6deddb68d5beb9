"""GRPO: sample G completions of every prompt, score them, and make the better ones of each group likelier.

Shape suffixes: B prompts, G completions of each, C longest completion, N = B * G.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from tvg_lightning.data.items import Item
from tvg_lightning.data.training_set import TrainingSet
from tvg_lightning.data_plan import DataPlan
from tvg_lightning.engines.choice import release
from tvg_lightning.engines.settings import EngineName, VLLMSettings
from tvg_lightning.losses.grpo import grpo_loss, loss_count
from tvg_lightning.modules.evaluation_settings import EvaluationSettings
from tvg_lightning.modules.grounding import GroundingModule
from tvg_lightning.modules.grpo_settings import GRPOSettings
from tvg_lightning.modules.importance_correction import fault_of, importance_metrics
from tvg_lightning.modules.optimizer_settings import OptimizerSettings
from tvg_lightning.modules.phases import Phases
from tvg_lightning.modules.rollout_report import (
    mean_ious,
    oracle_metrics,
    rollout_flops,
    rollout_metrics,
    rollout_traces,
    with_differences,
)
from tvg_lightning.modules.rollouts import (
    Minibatch,
    Rollout,
    Sampler,
    dynamic_sampling,
    learned_rows,
    prepare,
    restored_rollout,
    rollout_state,
)
from tvg_lightning.modules.settings import check_frames, check_oracle, check_reward, check_rewarded, check_warm_start
from tvg_lightning.modules.step import StepContext, StepResult
from tvg_lightning.modules.warm_start import check_engine
from tvg_lightning.parallel import of_all_ranks, rank_and_world_size, sum_over_ranks
from tvg_lightning.policy.backbone import PolicyBackbone, Weights, whole_weights
from tvg_lightning.policy.generation import RolloutEngine, generate, is_policy_itself
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.rewards.total import Rewards
from tvg_lightning.rewards.weights import AnchorSettings, FrameDependenceSettings, LengthSettings, RewardWeights
from tvg_lightning.schema import AnswerFormat, Method, MethodName


class GRPOObjective:
    """GRPO as a training module uses it: a rollout now and then, an update every step."""

    def __init__(self, settings: GRPOSettings, rewards: Rewards, engine: RolloutEngine = generate) -> None:
        if settings.warm_start is not None:
            check_engine(engine, "grpo.warm_start")
        self.settings, self.rewards, self.engine = settings, rewards, engine
        self.reference: Weights | None = None  # what the KL is measured against, kept where beta > 0
        self.rollout: Rollout | None = None  # whose updates are not all made
        self._before: tuple[int, Rollout | None] | None = None  # the latest step, and the rollout as it was before it
        self._saved: dict[str, Any] | None = None  # what a checkpoint held, until the next step

    def begin(self, policy: PolicyBackbone, base: Weights | None) -> None:
        """Take the reference: the policy as it is now, or the weights with which the run began."""
        if self.settings.kept_reference is not None:
            self.reference = base if self.settings.kept_reference == "base" else policy.trainable_weights()

    def step(
        self,
        policy: PolicyBackbone,
        items: Sequence[Item],
        context: StepContext,
        training_set: TrainingSet,
        phases: Phases | None = None,
    ) -> StepResult:
        """One update, after a rollout where the last one is used up: sample -> reward -> advantage -> loss.

        ``items`` are answered in that rollout; ``training_set`` gives more where groups are constant, and what a
        resumed run must read again. The caller makes the backward pass and the optimizer's step. ``phases`` is the
        clock of the step.
        """
        phases = phases or Phases()
        fresh = StepResult(torch.zeros(()), {})
        if self._saved is not None:
            self._restore(policy, self._saved, training_set)
        self._before = context.step, None if self.rollout is None else replace(self.rollout)
        if self.rollout is None:
            self.rollout, fresh = self._roll_out(policy, items, context, training_set, phases)
        phases.enter("loss")
        step = grpo_update(policy, self.rollout.next_minibatch(), self.settings, context.world_size)
        traces = with_differences(fresh.traces, self.rollout)
        if self.rollout.is_used_up(self.settings.num_iterations):
            self.rollout = None
        metrics = {**fresh.metrics, **step.metrics}
        correction = self.settings.importance_correction
        return replace(
            step,
            metrics=metrics,
            traces=traces,
            items=fresh.items,
            flops=fresh.flops + step.flops,
            fault=None if correction is None else fault_of(metrics, correction, context.step),
        )

    def _roll_out(
        self,
        policy: PolicyBackbone,
        items: Sequence[Item],
        context: StepContext,
        training_set: TrainingSet,
        phases: Phases,
    ) -> tuple[Rollout, StepResult]:
        settings = self.settings
        sampler = Sampler(policy, settings, self.rewards, self.engine, context, phases)
        sampled = dynamic_sampling(sampler, items, training_set.draw)
        release(self.engine)
        training_set.report_ious(mean_ious(sampled))
        learned = learned_rows(sampled.groups, settings, policy.device)
        sampled_elsewhere = settings.importance_correction is not None and not is_policy_itself(self.engine)
        rollout = prepare(policy, sampled.groups, learned, settings, self.reference, sampled_elsewhere)
        everyone = [group.item for group in [*sampled.groups, *sampled.replaced]]
        training_set.report_unreadable(everyone)
        traces = rollout_traces(sampled, learned, context, self.rewards.form)
        flops = rollout_flops(policy, sampled, rollout)
        metrics = rollout_metrics(sampled) | oracle_metrics(sampled.groups, learned)
        if settings.importance_correction is not None and rollout.gaps_to_engine:
            metrics |= importance_metrics(rollout.gaps_to_engine, settings.importance_correction)
        return rollout, StepResult(torch.zeros(()), metrics, traces, everyone, flops)

    def _restore(self, policy: PolicyBackbone, state: dict[str, Any], training_set: TrainingSet) -> None:
        if state["reference"] is not None:
            self.reference = policy.kept_like_ours(state["reference"])
        if state["rollouts"] is not None:
            rank, world_size = rank_and_world_size()
            if len(state["rollouts"]) != world_size:
                raise ValueError(
                    f"the checkpoint was written between two updates of a rollout by {len(state['rollouts'])} "
                    f"processes, and each has its own prompts: go on with as many, not {world_size}"
                )
            rollout = restored_rollout(policy, state["rollouts"][rank], training_set.items_again)
            self.rollout = None if rollout.is_used_up(self.settings.num_iterations) else rollout
        self._saved = None

    def state_dict(self, unfinished: int | None = None) -> dict[str, Any]:
        """The state after the latest update; before that of step ``unfinished``, where it has begun and not ended."""
        if self._saved is not None:
            return self._saved
        rollout = self.rollout
        if self._before is not None and self._before[0] == unfinished:
            rollout = self._before[1]
        rollouts = None if rollout is None else of_all_ranks(rollout_state(rollout))
        reference = None if self.reference is None else whole_weights(self.reference)
        return {"reference": reference, "rollouts": rollouts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Keep what a checkpoint held until the next step; ValueError where beta needs a reference that it lacks."""
        if self.settings.beta > 0 and state["reference"] is None:
            raise ValueError(
                f"grpo.beta is {self.settings.beta}, but the run began with 0 and kept no reference to measure the KL "
                "against: set it to 0, or begin a new run from exported weights"
            )
        self._saved = state


def grpo_update(policy: PolicyBackbone, part: Minibatch, settings: GRPOSettings, world_size: int) -> StepResult:
    """The loss of one minibatch; its denominator is over the minibatches of all processes."""
    logp_BGC, mask_BGC = policy.logp(part.prompts, part.ids, part.features, settings.generation.temperature)
    if settings.mask_truncated:
        mask_BGC = mask_BGC & ~torch.tensor(part.truncated, device=mask_BGC.device)[..., None]
    logp_NC, mask_NC = logp_BGC.flatten(0, 1), mask_BGC.flatten(0, 1)
    logp_old_BGC = logp_BGC.detach() if part.logp_old_BGC is None else part.logp_old_BGC
    metrics: dict[str, float] = {}
    weight_NT = None
    gap_BGC, correction = part.gap_to_engine(logp_old_BGC), settings.importance_correction
    if gap_BGC is not None and correction is not None:
        weight_NT, _ = correction.weights(gap_BGC)
        if part.logp_old_BGC is None:  # else they are told where the rollout is made
            part.gap_BGC = gap_BGC
            metrics |= importance_metrics([gap_BGC], correction)
    if part.is_warm_B is not None:  # a ratio of 1 gives the gradient of -log p * A, and nothing is clipped
        is_warm_B11 = torch.tensor(part.is_warm_B, device=mask_BGC.device)[:, None, None]
        logp_old_BGC = logp_BGC.detach().where(is_warm_B11, logp_old_BGC)
    denominator = loss_count(mask_NC, settings.reduction, settings.generation.max_new_tokens)
    result = grpo_loss(
        logp_NC,
        logp_old_BGC.flatten(0, 1),
        part.advantage_BG.flatten(),
        mask_NC,
        clip_low=settings.clip_low,
        clip_high=settings.clip_high,
        beta=settings.beta,
        logp_ref_NT=None if part.logp_ref_BGC is None else part.logp_ref_BGC.flatten(0, 1),
        kl=settings.kl,
        ratio_level=settings.ratio_level,
        reduction=settings.reduction,
        denominator=sum_over_ranks(denominator).clamp(min=1) / world_size,
        clip_dual=settings.clip_dual,
        max_log_ratio=settings.max_log_ratio,
        weight_NT=weight_NT,
    )
    metrics |= {"kl": float(result.kl)} if settings.beta > 0 else {}
    if part.logp_old_BGC is not None:
        metrics |= {"clip_fraction": float(result.clip_fraction), "ratio": float(result.ratio)}
    work = policy.flops(part.prompts, part.ids)
    vision = work.vision if part.features is None else 0.0
    num_tokens = int(mask_BGC.sum())
    return StepResult(result.loss, metrics, flops=vision + work.loss + work.backward, num_tokens=num_tokens)


class GRPOModule(GroundingModule):
    """GRPO from a checkpoint for as many steps as the trainer is given, on the datamodule's batches.

    Args:
        policy: the policy's weights, which of them are trained, and at what cost in memory.
        grpo: group-relative policy optimisation with verifiable rewards.
        reward: the weight of every reward; 0 leaves a reward out, and all are 0 until a recipe names its own.
        anchors: constants of the three anchor rewards (default: the defaults of its keys).
        length: constants of the reward length (default: the defaults of its keys).
        frame_dependence: constants of the reward frame_dependence (default: the defaults of its keys).
        optimizer: AdamW and its schedule (default: the defaults of its keys).
        method: format of the answers; data.method sets it.
        thought: a thought stands before the answers; data.thought sets it (default: as the method has it).
        evaluation: settings of validation, test and predict (default: the defaults of its keys).
        seed: seed of all that is drawn; seed_everything sets it.
        engine: sampler of the completions: builtin, vllm (in each process), vllm_server (started by
            ``python -m tvg_lightning serve``), or a class of yours.
        vllm: settings of vLLM (default: the defaults of its keys).
    """

    def __init__(
        self,
        policy: PolicySettings,
        grpo: GRPOSettings,
        reward: RewardWeights,
        anchors: AnchorSettings | None = None,
        length: LengthSettings | None = None,
        frame_dependence: FrameDependenceSettings | None = None,
        optimizer: OptimizerSettings | None = None,
        method: MethodName = "tar_tvg",
        thought: bool | None = None,
        evaluation: EvaluationSettings | None = None,
        seed: int = 0,
        engine: EngineName | RolloutEngine = "builtin",
        vllm: VLLMSettings | None = None,
    ) -> None:
        form = AnswerFormat(Method(method), thought)
        super().__init__(policy, form, evaluation or EvaluationSettings(), seed, engine, vllm)
        self.save_hyperparameters(ignore=["engine", "vllm"])
        self.grpo, self.reward = grpo, reward
        self.frame_dependence = frame_dependence or FrameDependenceSettings()
        length = length or LengthSettings()
        check_reward(reward, length, grpo)
        if self.evaluation.preset is None:  # else the format is that of an evaluation, not of training
            reward.check_format(form)
        self.optimizer_settings = optimizer or OptimizerSettings()
        rewards = Rewards(self.form, reward, anchors or AnchorSettings(), length, self.frame_dependence)
        self.objective = GRPOObjective(grpo, rewards, self.engine)

    @property
    def needs_captions(self) -> bool:  # type: ignore[override]
        return self.grpo.warm_start is not None

    def configure_model(self) -> None:
        is_new = not hasattr(self, "policy")
        super().configure_model()
        if is_new:
            base = self.policy.trainable_weights() if self.grpo.kept_reference == "base" else None
            self.objective.begin(self.policy, base)

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit":
            self.reward.check_format(self.form)
            data = self.datamodule()
            check_rewarded(data.mixture, self.reward, "data.mixture")
            check_oracle(self.grpo, self.form, data.mixture)
            check_warm_start(self.grpo, self.form)
            if self.reward.frame_dependence > 0:
                check_frames(self.frame_dependence.radius_s, data.frames, "reward.frame_dependence")

    def data_plan(self) -> DataPlan:
        data = self.datamodule()
        return DataPlan(
            data.batch_size * self.grpo.num_minibatches,
            data.mixture,
            updates_per_batch=self.grpo.updates_per_rollout,
            goes_on=True,
        )

    def take_step(self, items: Sequence[Item]) -> StepResult:
        return self.objective.step(self.policy, items, self.step_context(), self.training_set(), self.phases)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["objective"] = self.objective.state_dict(self.unfinished_step)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        if self._is_fitting:
            self.objective.load_state_dict(checkpoint["objective"])
