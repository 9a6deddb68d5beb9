"""Settings of GRPO and its variants."""

import math
from dataclasses import dataclass, field
from typing import Literal

from tvg_lightning.advantage import RewardScale
from tvg_lightning.losses.grpo import KLEstimator, RatioLevel, Reduction
from tvg_lightning.modules.importance_correction import ImportanceCorrectionSettings
from tvg_lightning.modules.warm_start import WarmStartSettings
from tvg_lightning.oracle import OracleSettings
from tvg_lightning.policy.settings import GenerationSettings

ReferenceName = Literal["stage", "base"]


@dataclass(frozen=True)
class GRPOSettings:
    """Group-relative policy optimisation with verifiable rewards; defaults of the lineage's trainers.

    Args:
        generation: the way in which completions are sampled.
        num_generations: completions of each prompt: its group.
        num_minibatches: a rollout has num_minibatches * batch_size prompts, and each update learns from batch_size of
            them.
        num_iterations: passes over a rollout. On-policy where this and num_minibatches are 1.
        resampling_rounds: a rollout's groups of equal rewards are replaced by fresh prompts so many times at most
            (DAPO's dynamic sampling; the same number on every process); 0: never.
        mask_truncated: completions that hit max_new_tokens are not learned from (DAPO's overlong filtering).
        scale_rewards: divisor of a group's rewards after their mean is subtracted: the standard deviation of the group,
            that of the whole batch, or none (Dr. GRPO).
        advantage_eps: added to the standard deviation before rewards are divided by it.
        ratio_level: one ratio of new to old probability for each token, or one for the whole sequence (GSPO).
        reduction: the summed loss is divided by the number of tokens (token_mean, DAPO), or is a mean over completions
            of their own means (sequence_mean, GRPO), or is divided by completions times max_new_tokens (constant, Dr.
            GRPO).
        clip_low: the ratio is clipped below 1 - clip_low.
        clip_high: the ratio is clipped above 1 + clip_high; larger than clip_low is DAPO's clip-higher.
        beta: weight of the KL to the reference; 0 never computes it.
        kl: estimator of the KL, d = logp - logp_ref: k1 is d, k2 is d^2 / 2, k3 is exp(-d) - 1 + d (GRPO's).
        reference: the weights that the KL is measured against: those at the start of the stage, or the run's first
            (base).
        clip_dual: where the advantage A is negative, the loss of a token is at most -clip_dual * A (dual clip, arXiv
            1912.09729); above 1 (default: no bound).
        max_log_ratio: the log of the ratio is kept within this many nats of 0 (default: no bound).
        oracle: the annotation is one more row of every group, and rows are pruned (OraRL). It has its own advantages,
            hence scale_rewards none; no KL, and no replacing of constant groups, which teach with it (default:
            neither).
        warm_start: TaRO's warm start: completions begin with captions of the video in the first epochs (default:
            never).
        importance_correction: weights for the log-probs of an engine that is not the policy itself, and a check of
            their difference; without effect on the built-in
            engine. null: neither.
    """

    generation: GenerationSettings = field(default_factory=GenerationSettings)
    num_generations: int = 8
    num_minibatches: int = 1
    num_iterations: int = 1
    resampling_rounds: int = 0
    mask_truncated: bool = False
    scale_rewards: RewardScale = "group"
    advantage_eps: float = 1e-4
    ratio_level: RatioLevel = "token"
    reduction: Reduction = "token_mean"
    clip_low: float = 0.2
    clip_high: float = 0.2
    beta: float = 0.04
    kl: KLEstimator = "k3"
    reference: ReferenceName = "stage"
    clip_dual: float | None = None
    max_log_ratio: float | None = None
    oracle: OracleSettings | None = None
    warm_start: WarmStartSettings | None = None
    importance_correction: ImportanceCorrectionSettings | None = ImportanceCorrectionSettings()  # noqa: RUF009  # frozen

    @property
    def kept_reference(self) -> ReferenceName | None:
        """The reference whose weights are kept; None without a KL."""
        return self.reference if self.beta > 0 else None

    @property
    def updates_per_rollout(self) -> int:
        return self.num_minibatches * self.num_iterations

    def __post_init__(self) -> None:
        if self.num_generations < 2:
            raise ValueError(f"grpo.num_generations must be at least 2, not {self.num_generations}: a group has a mean")
        for name in ("num_minibatches", "num_iterations"):
            if self.__dict__[name] < 1:
                raise ValueError(f"grpo.{name} must be at least 1, not {self.__dict__[name]}")
        if self.resampling_rounds < 0:
            raise ValueError(f"grpo.resampling_rounds must not be negative, not {self.resampling_rounds}")
        if not (math.isfinite(self.beta) and self.beta >= 0):
            raise ValueError(f"grpo.beta must not be negative, not {self.beta}")
        for name in ("clip_low", "clip_high", "advantage_eps"):
            if not self.__dict__[name] > 0:
                raise ValueError(f"grpo.{name} must be positive, not {self.__dict__[name]}")
        if self.generation.temperature == 0:
            raise ValueError("grpo.generation.temperature 0 gives G equal completions: raise it")
        if self.generation.has_penalties:
            raise ValueError(
                "grpo.generation: repetition_penalty and presence_penalty are for evaluation: the loss does not know "
                "them, so what is sampled would not be what is learned from; set them to 1 and 0"
            )
        if self.clip_dual is not None and not (math.isfinite(self.clip_dual) and self.clip_dual > 1):
            raise ValueError(f"grpo.clip_dual must be above 1, or null for none, not {self.clip_dual}")
        if self.max_log_ratio is not None and not (math.isfinite(self.max_log_ratio) and self.max_log_ratio > 0):
            raise ValueError(
                f"grpo.max_log_ratio must be a positive number, or null for none, not {self.max_log_ratio}"
            )
        if self.oracle is not None:
            self._check_oracle(self.oracle)

    def _check_oracle(self, oracle: OracleSettings) -> None:
        """Refuse what the annotation as a row cannot go together with."""
        oracle.check_group(self.num_generations)
        if self.warm_start is not None:
            raise ValueError("grpo.oracle and grpo.warm_start have each their own advantages: set one of them to null")
        if self.scale_rewards != "none":
            raise ValueError(
                "grpo.oracle has its own advantages, which no deviation divides: set grpo.scale_rewards to "
                f'"none", not "{self.scale_rewards}"'
            )
        if self.resampling_rounds > 0:
            raise ValueError(
                "grpo.oracle learns from groups of equal rewards, too: set grpo.resampling_rounds, which replaces "
                "them, to 0"
            )
        if self.beta > 0:
            raise ValueError(
                f"grpo.oracle: the annotation is no sample of the policy, so no KL can be estimated on it: set "
                f"grpo.beta to 0, not {self.beta}"
            )
