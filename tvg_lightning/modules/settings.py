"""Settings of training; every value is checked before any weight loads."""

import math
from dataclasses import asdict, dataclass, field
from typing import Literal

import torch

from tvg_lightning.advantage import RewardScale
from tvg_lightning.data.video import TEMPORAL_PATCH, FrameSettings
from tvg_lightning.harvest import HarvestRule
from tvg_lightning.losses.grpo import KLEstimator, RatioLevel, Reduction
from tvg_lightning.modules.warm_start import WarmStartSettings
from tvg_lightning.oracle import OracleSettings
from tvg_lightning.policy.settings import GenerationSettings, PolicySettings
from tvg_lightning.presets import PresetName, Scorer
from tvg_lightning.rewards.extra import ExtraReward
from tvg_lightning.rewards.weights import AnchorSettings, FrameDependenceSettings, LengthSettings, RewardWeights
from tvg_lightning.schema import AnswerFormat, Method, Task
from tvg_lightning.tasks.mixture import Mixture

ReferenceName = Literal["stage", "base"]
OptimizerName = Literal["adamw", "adamw_8bit", "paged_adamw", "paged_adamw_8bit"]


@dataclass(frozen=True)
class PartSettings:
    """Settings of the optimizer for one part of the policy; None is as for the language model."""

    lr: float | None = None
    weight_decay: float | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"optimizer: {name} of a part must not be negative, not {value}")


@dataclass(frozen=True)
class OptimizerSettings:
    """AdamW and its schedule: linear warm-up, then constant, or down to 0 at the stage's last step.

    name: "adamw" (fused on GPUs), or bitsandbytes' with states in 8 bit, in pages that can leave the GPU, or both.
    lr, weight_decay: of the language model or its adapters; merger and vision_tower may have their own.
    nonfinite: what to do about a gradient with NaN or infinity in it, "stop" or "skip" the update.
    """

    name: OptimizerName = "adamw"
    lr: float = 1e-6
    weight_decay: float = 0.0
    merger: PartSettings = field(default_factory=PartSettings)
    vision_tower: PartSettings = field(default_factory=PartSettings)
    betas: tuple[float, float] = (0.9, 0.999)
    warmup_steps: int = 0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    nonfinite: Literal["stop", "skip"] = "stop"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"optimizer.lr must be a positive number, not {self.lr}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"optimizer.weight_decay must not be negative, not {self.weight_decay}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"optimizer.betas must lie in [0, 1), not {self.betas}")
        if self.warmup_steps < 0:
            raise ValueError(f"optimizer.warmup_steps must not be negative, not {self.warmup_steps}")

    def factor(self, step: int, num_steps: int) -> float:
        """The share of ``lr`` in force at a step, 0 <= step < num_steps.

        >>> [OptimizerSettings(warmup_steps=2, schedule="linear").factor(s, 6) for s in range(6)]
        [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
        """
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if self.schedule == "constant":
            return 1.0
        progress = min(1.0, (step - self.warmup_steps) / max(1, num_steps - self.warmup_steps))
        return 1.0 - progress if self.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))


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
            raise ValueError(
                "grpo.oracle and grpo.warm_start each have advantages of their own: set one of them to null"
            )
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


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of validation, test and predict, where answers are read tolerantly, and greedy unless said otherwise.

    strict_recall: R1@m counts an IoU > m, not >= m. max_anchors: how many anchors have a mean IoU of their
    own. frame_dependence: measure how much answers depend on the order of the frames, at two more passes over them.
    temperature, top_p, top_k, stop and the penalties: as in GenerationSettings.
    preset: the name of a published evaluation (``presets``), which stands beside every number; configs/eval/NAME.yaml
    sets it, with all that goes with it. as_published: read and score as its script does, faults included.
    """

    max_new_tokens: int = 96
    max_anchors: int = 4
    strict_recall: bool = False
    frame_dependence: bool = False
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    preset: PresetName | None = None
    as_published: bool = False

    @property
    def generation(self) -> GenerationSettings:
        """The settings of one answer."""
        return GenerationSettings(
            self.max_new_tokens, self.temperature, self.top_p, self.top_k, self.stop,
            self.repetition_penalty, self.presence_penalty,
        )  # fmt: skip

    def scorer(self, form: AnswerFormat) -> Scorer:
        """The way in which answers are read and scored; ValueError where the preset asks for another format."""
        return Scorer(form, self.preset, self.as_published)

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"evaluation.max_new_tokens must be at least 1, not {self.max_new_tokens}")
        if self.as_published and self.preset is None:
            raise ValueError("evaluation.as_published is the way of a preset: name one in evaluation.preset")
        try:
            self.generation  # noqa: B018  # refuses bad values
        except ValueError as error:
            raise ValueError(f"evaluation.{error}") from error
        if self.max_anchors < 0:
            raise ValueError(f"evaluation.max_anchors must not be negative, not {self.max_anchors}")


@dataclass(frozen=True)
class PlateauSettings:
    """Leave a stage when the mean reward of ``window`` steps is not ``min_gain`` above the ones before."""

    window: int = 50
    min_gain: float = 0.01

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ValueError(f"plateau.window must be at least 1, not {self.window}")
        if not math.isfinite(self.min_gain):
            raise ValueError(f"plateau.min_gain must be a finite number, not {self.min_gain}")


@dataclass(frozen=True)
class StageSettings:
    """One stage of a staged run: what is optimised, from which weights, on what, and for how long.

    Exactly one of ``grpo`` and ``sft`` is given, and at least one of ``steps`` and ``epochs`` (the smaller
    counts). reward, anchors, length, frame_dependence: what completions earn in a GRPO stage.
    start_from: "previous" goes on with the stage before, "base" with the weights the run began with.
    harvest_from: the SFT stage's data are the traces of this earlier stage that pass ``harvest_rule``.
    """

    name: str
    grpo: GRPOSettings | None = None
    reward: RewardWeights = field(default_factory=RewardWeights)
    anchors: AnchorSettings = field(default_factory=AnchorSettings)
    length: LengthSettings = field(default_factory=LengthSettings)
    frame_dependence: FrameDependenceSettings = field(default_factory=FrameDependenceSettings)
    sft: bool = False  # token-mean cross-entropy of the completions to learn
    steps: int | None = None
    epochs: float | None = None
    plateau: PlateauSettings | None = None
    start_from: Literal["previous", "base"] = "previous"
    batch_size: int = 8  # prompts a step on each process
    mixture: Mixture = field(default_factory=Mixture)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    harvest_from: str | None = None
    harvest_rule: HarvestRule = field(default_factory=HarvestRule)

    @property
    def needs_base(self) -> bool:
        """True where the run's first weights must be kept for this stage."""
        return self.start_from == "base" or (self.grpo is not None and self.grpo.kept_reference == "base")

    def check_format(self, form: AnswerFormat) -> None:
        """ValueError where answers in the format can earn none of a reward, or cannot be harvested."""
        try:
            self.reward.check_format(form)
        except ValueError as error:
            raise ValueError(f'stages: "{self.name}": {error}') from error
        if self.grpo is not None:
            where = f'stages: "{self.name}": '
            check_oracle(self.grpo, form, self.mixture, where)
            check_warm_start(self.grpo, form, where)
        if self.harvest_from is not None and not form.has_anchors:
            raise ValueError(
                f'stages: "{self.name}" learns a harvest, whose rule asks for anchors: only thoughts of data.method '
                f"{Method.TAR_TVG} have them"
            )

    def __post_init__(self) -> None:
        if not self.name or not all(c.isalnum() or c in "-_" for c in self.name):
            raise ValueError(f'stages: name "{self.name}" must be letters, digits, - and _: it becomes a file name')
        if (self.grpo is not None) == self.sft:
            raise ValueError(f'stages: "{self.name}" needs exactly one of grpo: and sft: true')
        if self.steps is None and self.epochs is None:
            raise ValueError(f'stages: "{self.name}" needs steps or epochs')
        if (self.steps is not None and self.steps < 1) or (
            self.epochs is not None and not (math.isfinite(self.epochs) and self.epochs > 0)
        ):
            raise ValueError(f'stages: "{self.name}": steps and epochs must be positive')
        if self.batch_size < 1:
            raise ValueError(f'stages: "{self.name}": batch_size must be at least 1, not {self.batch_size}')
        if self.harvest_from is not None and not self.sft:
            raise ValueError(f'stages: "{self.name}": harvest_from is for sft stages')
        if self.sft and any(self.reward.as_dict().values()):
            raise ValueError(f'stages: "{self.name}": reward is for grpo stages')
        if self.grpo is not None:
            where = f'stages: "{self.name}": '
            check_reward(self.reward, self.length, self.grpo, where)
            check_rewarded(self.mixture, self.reward, f"{where}mixture")


def check_reward(reward: RewardWeights, length: LengthSettings, grpo: GRPOSettings, where: str = "") -> None:
    """Refuse weights that are all 0, and one of the length that can have no effect."""
    if not any(reward.as_dict().values()):
        raise ValueError(f"{where}reward: every weight is 0, so there is nothing to learn from: raise one")
    if reward.length > 0:
        length.check_reached(grpo.generation.max_new_tokens)


def check_oracle(grpo: GRPOSettings, form: AnswerFormat, mixture: Mixture, where: str = "") -> None:
    """Refuse an oracle row where an annotation alone is no answer: behind a thought, and in the inverted tasks."""
    if grpo.oracle is None:
        return
    if form.has_thought:
        raise ValueError(
            f"{where}grpo.oracle: an annotation holds no thought, and data.method {form.method} asks for one "
            "before the answer: set data.thought to false, or take another method"
        )
    if any(share > 0 for task, share in asdict(mixture).items() if task != Task.TVG):
        raise ValueError(f"{where}grpo.oracle is for grounding alone: set all other shares of the mixture to 0")


def check_warm_start(grpo: GRPOSettings, form: AnswerFormat, where: str = "") -> None:
    """Refuse captions at the beginning of a thought where answers have none."""
    if grpo.warm_start is not None and not form.has_thought:
        raise ValueError(
            f"{where}grpo.warm_start begins the thought before an answer, and data.method {form.method} asks for none "
            "here: set data.thought to true, or grpo.warm_start to null"
        )


def check_rewarded(mixture: Mixture, reward: RewardWeights, where: str) -> None:
    """Refuse a mixture with a task for which no weight counts."""
    shares = asdict(mixture)
    for task in Task:
        if shares[task] > 0 and not reward.applies_to(task):
            raise ValueError(f"{where} has {task}, but no weight in reward counts for it")


def check_frames(radius_s: float, frames: FrameSettings, key: str) -> None:
    """Refuse to shuffle frames of which no two pairs lie near enough to one time.

    >>> check_frames(3.0, FrameSettings(fps=0.5), "evaluation.frame_dependence")
    """
    pair_s = TEMPORAL_PATCH / frames.fps
    if frames.uniform_frames is None and pair_s > 2 * radius_s:
        raise ValueError(
            f"{key}: with data.frames.fps {frames.fps:g} a pair of frames comes every {pair_s:g} s, so no two lie "
            f"within {radius_s:g} s of a time and there is nothing to shuffle: raise it to {1 / radius_s:g} or more"
        )


def check_stages(stages: list[StageSettings]) -> None:
    """Refuse names that are used twice, and a harvest from anything but an earlier GRPO stage."""
    if not stages:
        raise ValueError("stages is empty: give at least one stage")
    seen: dict[str, StageSettings] = {}
    for stage in stages:
        if stage.name in seen:
            raise ValueError(f'stages: the name "{stage.name}" is used twice')
        source = stage.harvest_from
        if source is not None and (source not in seen or seen[source].grpo is None):
            raise ValueError(f'stages: "{stage.name}" has harvest_from "{source}", which is no earlier grpo stage')
        seen[stage.name] = stage


# A checkpoint of a run that was made without the command line holds these as they are. They are plain values, so that
# ``weights_only`` loading may rebuild them.
torch.serialization.add_safe_globals(
    [
        AnchorSettings, EvaluationSettings, ExtraReward, FrameDependenceSettings, GenerationSettings, GRPOSettings,
        HarvestRule, LengthSettings, Method, Mixture, OptimizerSettings, OracleSettings, PartSettings, PlateauSettings,
        PolicySettings, RewardWeights, StageSettings,
    ]
)  # fmt: skip
