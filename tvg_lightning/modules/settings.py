"""Settings of a training run: its stages, and what must agree among their parts, which have files of their own.

Every value is checked before any weight loads.
"""

import math
from dataclasses import asdict, dataclass, field
from typing import Literal

import torch

from tvg_lightning.data.video import TEMPORAL_PATCH, FrameSettings
from tvg_lightning.harvest import HarvestRule
from tvg_lightning.modules.evaluation_settings import EvaluationSettings
from tvg_lightning.modules.grpo_settings import GRPOSettings
from tvg_lightning.modules.importance_correction import ImportanceCorrectionSettings
from tvg_lightning.modules.optimizer_settings import OptimizerSettings, PartSettings
from tvg_lightning.modules.warm_start import WarmStartSettings
from tvg_lightning.oracle import OracleSettings
from tvg_lightning.policy.settings import GenerationSettings, PolicySettings
from tvg_lightning.rewards.extra import ExtraReward
from tvg_lightning.rewards.weights import AnchorSettings, FrameDependenceSettings, LengthSettings, RewardWeights
from tvg_lightning.schema import AnswerFormat, Method, Task
from tvg_lightning.tasks.mixture import Mixture


@dataclass(frozen=True)
class PlateauSettings:
    """The end of a stage whose reward rises no more: the mean of some steps is hardly above that of those before.

    Args:
        window: steps of each of the two means that are compared.
        min_gain: the later mean reward must be above the earlier one by this, or the stage ends.
    """

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

    Exactly one of ``grpo`` and ``sft`` is given, and at least one of ``steps`` and ``epochs``.

    Args:
        name: name of the stage in logs and files: letters, digits, - and _.
        grpo: the stage is GRPO with these settings (default: it is not).
        reward: weights of what completions earn in a GRPO stage.
        anchors: constants of the three anchor rewards.
        length: constants of the reward length.
        frame_dependence: constants of the reward frame_dependence.
        sft: the stage is SFT: token-mean cross-entropy of the completions to learn.
        steps: updates after which the stage ends; with epochs, the earlier end counts (default: epochs say it).
        epochs: passes over the stage's data after which it ends (default: steps say it).
        plateau: end a GRPO stage as soon as its reward rises no more (default: it runs to its end).
        start_from: previous goes on with the weights of the stage before, base with those the run began with.
        batch_size: prompts of a step in each process.
        mixture: the share of each task.
        optimizer: the optimizer and its schedule.
        harvest_from: name of an earlier GRPO stage: this SFT stage learns its traces that pass harvest_rule (default:
            it learns data.targets).
        harvest_rule: conditions for keeping a trace.
    """

    name: str
    grpo: GRPOSettings | None = None
    reward: RewardWeights = field(default_factory=RewardWeights)
    anchors: AnchorSettings = field(default_factory=AnchorSettings)
    length: LengthSettings = field(default_factory=LengthSettings)
    frame_dependence: FrameDependenceSettings = field(default_factory=FrameDependenceSettings)
    sft: bool = False
    steps: int | None = None
    epochs: float | None = None
    plateau: PlateauSettings | None = None
    start_from: Literal["previous", "base"] = "previous"
    batch_size: int = 8
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
        if self.sft and self.plateau is not None:
            raise ValueError(f'stages: "{self.name}": plateau is for grpo stages: SFT has no reward that could rise')
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
# ``weights_only`` loading may rebuild them; four of them also under the names of when all stood here.
_MOVED = [EvaluationSettings, GRPOSettings, OptimizerSettings, PartSettings]
torch.serialization.add_safe_globals(
    [
        AnchorSettings, EvaluationSettings, ExtraReward, FrameDependenceSettings, GenerationSettings, GRPOSettings,
        HarvestRule, ImportanceCorrectionSettings, LengthSettings, Method, Mixture, OptimizerSettings, OracleSettings,
        PartSettings, PlateauSettings, PolicySettings, RewardWeights, StageSettings, WarmStartSettings,
        *[(kind, f"{__name__}.{kind.__name__}") for kind in _MOVED],
    ]
)  # fmt: skip
