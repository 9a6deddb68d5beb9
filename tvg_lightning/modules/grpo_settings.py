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

    num_minibatches, num_iterations: a rollout of num_minibatches times the stage's batch_size prompts is gone
    through num_iterations times, one minibatch an update. 1 and 1 are on-policy.
    ratio_level: "sequence" is GSPO. clip_high > clip_low is clip-higher.
    mask_truncated: completions that hit max_new_tokens are not learned from (DAPO's overlong filtering).
    scale_rewards: by what a group's rewards are divided after their mean is subtracted: the standard deviation of the
    "group" or of the whole "batch", or "none" (Dr. GRPO).
    resampling_rounds: how often a rollout's groups of equal rewards are replaced by fresh prompts at most
    (DAPO's dynamic sampling; the same number of rounds on every process).
    reference: what the KL is measured against, the "stage"'s first weights or the run's "base".
    clip_dual, max_log_ratio: bounds of the loss of bad tokens, and of the ratio; null for none.
    oracle: the annotation as one more row of every group, and pruning of rows (OraRL); null for neither. It has its own
    advantages, hence scale_rewards "none"; no KL and no replacing of constant groups, which teach with it.
    warm_start: completions begin with captions of the video in the first epochs (TaRO); null for never.
    importance_correction: what is done about the log-probs of an engine that is not the policy itself, which differ a
    little from the loss's; null for nothing, neither weights nor a check. Without effect on the built-in engine.
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
    beta: float = 0.04  # weight of the KL to the reference; 0 never computes it
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
