"""Weights of the rewards: the settings under ``reward.``, ``anchors.``, ``length.`` and ``frame_dependence.``."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Self

from tvg_lightning.rewards.extra import ExtraReward
from tvg_lightning.schema import AnswerFormat, Method, Task


@dataclass(frozen=True)
class RewardWeights:
    """The weight of every reward; 0 leaves a reward out, and all are 0 until a recipe names its own.

    A field is the key in YAML, the name in the logs (``train/reward/iou``) and the stem of the function
    (``iou_reward``). Its file in ``rewards/`` has the same name; the three of the anchors share ``anchor.py``.

    Args:
        format: 1 for a completion in the format that the prompt asks for, else 0.
        length: 0 down to -1 for a completion in the last stretch of the allowed length (DAPO); constants under length.
        iou: temporal IoU of the answer with the true window that fits best, 0 to 1 (TVG-R1, Invert4TVG).
        soft_iou: temporal IoU with the true window; where answer and window share no time, 0 down to -1 by how far they
            are apart (TAR-TVG, our reconstruction).
        timestamp_iou: temporal IoU with the true window, made smaller by how far each end is off, as a share of the
            video's duration (Time-R1).
        set_iou: IoU of the time that all windows of the answer cover with that of all true windows (TimeLens2, OMTG).
        wasserstein: 1 down to 0 by how far the answer's time must be moved to become the truth's, relative to the
            truth's length; above 0 also where they share no time (TimeLens2).
        refusal: timestamp IoU of the answer's first window; where the event is not in the video, 1 for an answer that
            says so (RA-RFT).
        parse_penalty: -1 for a completion in which no answer can be read, else 0 (TimeLens2).
        frame_dependence: 1 for a good answer whose words depend on the order of the frames more than its group's on
            average (TaRO); constants under frame_dependence.
        anchor_accuracy: mean soft IoU of the anchors in the thought, later ones counting more (TAR-TVG, our
            reconstruction).
        anchor_refinement: share of steps, anchor to anchor and last anchor to answer, that come closer to the truth
            (TAR-TVG, our reconstruction).
        anchor_count: 0, less a penalty for every anchor above the allowed number (TAR-TVG, our reconstruction);
            constants under anchors.
        verb_completion: in that task, 1 for a sentence with all verbs of the query, else 0 (Invert4TVG).
        action_recognition: in that task, 1 for one verb that is among the query's, else 0 (Invert4TVG).
        video_description: in that task, 1 for a description with the query's first verb, else 0 (Invert4TVG).
        extra: functions of yours with their weights, for completions of every task (see ``rewards.extra``).
    """

    format: float = 0.0
    length: float = 0.0
    iou: float = 0.0
    soft_iou: float = 0.0
    timestamp_iou: float = 0.0
    set_iou: float = 0.0
    wasserstein: float = 0.0
    refusal: float = 0.0
    parse_penalty: float = 0.0
    frame_dependence: float = 0.0
    anchor_accuracy: float = 0.0
    anchor_refinement: float = 0.0
    anchor_count: float = 0.0
    verb_completion: float = 0.0
    action_recognition: float = 0.0
    video_description: float = 0.0
    extra: tuple[ExtraReward, ...] = ()

    def __post_init__(self) -> None:
        taken = {known.name for known in fields(self)}
        for one in self.extra:
            if one.name in taken:
                raise ValueError(
                    f"reward.extra: {one.function}: the name {one.name} is taken by another reward, give it another one"
                )
            taken.add(one.name)
        for name, weight in self.as_dict().items():
            if not (math.isfinite(weight) and weight >= 0.0):
                raise ValueError(f"reward.{name} is {weight}: give a finite weight of 0 or more (0 leaves it out)")

    def as_dict(self) -> dict[str, float]:
        """The weights by name, in the order of the fields."""
        weights = {name: value for name, value in asdict(self).items() if name != "extra"}
        return weights | {one.name: one.weight for one in self.extra}

    def applies_to(self, task: Task) -> bool:
        """True where some weight above 0 counts for a completion of this task (see ``rewards.total``).

        >>> RewardWeights(iou=1.0).applies_to(Task.VERB_COMPLETION)
        False
        """
        inversions = {t.value for t in Task if t is not Task.TVG}
        names = {task.value} if task is not Task.TVG else {name for name in self.as_dict() if name not in inversions}
        names |= {"format", "length", *(one.name for one in self.extra)}
        return any(weight > 0.0 for name, weight in self.as_dict().items() if name in names)

    def check_format(self, form: AnswerFormat) -> None:
        """ValueError where a reward has a weight that no answer in the format can earn.

        >>> RewardWeights(refusal=1.0).check_format(AnswerFormat(Method.TIMELENS2))
        """
        for name, weight in self.as_dict().items():
            if weight > 0.0 and name.startswith("anchor_") and not form.has_anchors:
                words = "this format has no anchors, only thoughts of data.method tar_tvg have them"
                raise ValueError(f"reward.{name}: {words}: set it to 0")
        if self.refusal > 0.0 and not form.says_none:
            raise ValueError(
                f"reward.refusal: an answer in the format of data.method {form.method} cannot refuse: set it to 0, "
                f"or take data.method {Method.TIMELENS2}"
            )

    @classmethod
    def published(cls, method: Method) -> Self:
        """The weights of a method's paper.

        TVG-R1 (arXiv 2507.18100): 0.9 IoU + 0.1 format. Time-R1 (2503.13377): format + timestamp IoU. Invert4TVG
        (2508.07388): format + IoU, and 1 for each inversion. TimeLens2 (2607.17423): Wasserstein + set IoU, and -1 for
        an answer that cannot be read. OraRL (2608.20492): format times IoU, and there is no window out of the format.
        TimeLens (2512.14698): IoU. TaRO (2606.09248): format + timestamp IoU, and 0.3 for good answers that depend on
        the order of the frames. MUSEG (2505.20715) and OMTG (2606.06294): format + set IoU, in place of MUSEG's two
        matchings and of OMTG's tF1 and C-Acc beside it. TAR-TVG (2508.07683) names its five terms but not their
        weights: 1 each is our reconstruction.

        >>> RewardWeights.published(Method.TVG_R1).iou
        0.9
        """
        if method is Method.TAR_TVG:
            return cls(format=1.0, soft_iou=1.0, anchor_accuracy=1.0, anchor_refinement=1.0, anchor_count=1.0)
        if method is Method.TVG_R1:
            return cls(format=0.1, iou=0.9)
        if method is Method.TIME_R1:
            return cls(format=1.0, timestamp_iou=1.0)
        if method is Method.TIMELENS2:
            return cls(parse_penalty=1.0, set_iou=1.0, wasserstein=1.0)
        if method in (Method.ORA_RL, Method.TIMELENS):
            return cls(iou=1.0)
        if method is Method.TARO:
            return cls(format=1.0, timestamp_iou=1.0, frame_dependence=0.3)
        if method in (Method.MUSEG, Method.OMTG):
            return cls(format=1.0, set_iou=1.0)
        assert method is Method.INVERT4TVG, method
        return cls(format=1.0, iou=1.0, verb_completion=1.0, action_recognition=1.0, video_description=1.0)


@dataclass(frozen=True)
class AnchorSettings:
    """The constants of the three anchor rewards, all our reconstruction except that two anchors work best.

    Args:
        max_anchors: anchors of a thought that cost nothing; two score best in TAR-TVG's ablation.
        penalty: taken off anchor_count for each anchor above max_anchors.
        floor: anchor_count goes no lower.
        saturation: a step between two estimates whose soft IoUs both reach this counts as refined, better or not.
    """

    max_anchors: int = 2
    penalty: float = 0.5
    floor: float = -1.0
    saturation: float = 0.95

    def __post_init__(self) -> None:
        if self.max_anchors < 1:
            raise ValueError(f"anchors.max_anchors is {self.max_anchors}: allow at least 1 anchor")
        if not (math.isfinite(self.penalty) and self.penalty >= 0.0):
            raise ValueError(f"anchors.penalty is {self.penalty}: give a finite number of 0 or more")
        if not (math.isfinite(self.floor) and self.floor <= 0.0):
            raise ValueError(f"anchors.floor is {self.floor}: give a finite number of 0 or less")
        if not 0.0 < self.saturation <= 1.0:
            raise ValueError(f"anchors.saturation is {self.saturation}: give a soft IoU above 0, at most 1")


@dataclass(frozen=True)
class LengthSettings:
    """The length from which a completion costs (DAPO, arXiv 2503.14476); only where ``reward.length`` counts.

    Args:
        max_tokens: a completion of so many tokens or more costs 1.
        cache_tokens: the last so many tokens up to max_tokens, over which the cost rises from 0 to 1.
    """

    max_tokens: int = 2048
    cache_tokens: int = 512

    def __post_init__(self) -> None:
        if not 1 <= self.cache_tokens <= self.max_tokens:
            raise ValueError(
                f"length.cache_tokens is {self.cache_tokens} and length.max_tokens {self.max_tokens}: the stretch "
                "needs at least 1 token, and no more than there are"
            )

    @property
    def free_tokens(self) -> int:
        """The most tokens that cost nothing."""
        return self.max_tokens - self.cache_tokens

    def check_reached(self, max_new_tokens: int) -> None:
        """A ValueError where no completion is long enough to cost anything, so that the weight does nothing."""
        if max_new_tokens <= self.free_tokens:
            raise ValueError(
                f"reward.length: completions end at {max_new_tokens} tokens and cost nothing up to {self.free_tokens}: "
                f"set length.max_tokens to {max_new_tokens} and length.cache_tokens to a part of it"
            )


@dataclass(frozen=True)
class FrameDependenceSettings:
    """The constants of TaRO's bonus (arXiv 2606.09248); only where ``reward.frame_dependence`` counts.

    Args:
        radius_s: frames so many seconds or less from an end of a true window are shuffled among themselves.
        min_iou: an answer with a lower IoU earns no bonus.
    """

    radius_s: float = 3.0
    min_iou: float = 0.7

    def __post_init__(self) -> None:
        if not (math.isfinite(self.radius_s) and self.radius_s > 0.0):
            raise ValueError(f"frame_dependence.radius_s is {self.radius_s}: give a positive number of seconds")
        if not 0.0 <= self.min_iou <= 1.0:
            raise ValueError(f"frame_dependence.min_iou is {self.min_iou}: give an IoU from 0 to 1")
