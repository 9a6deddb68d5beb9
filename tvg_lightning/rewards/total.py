"""The reward of one completion: read it, score the parts that count, add them up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tvg_lightning.parsing import read_inverted, read_strict
from tvg_lightning.rewards.anchor import anchor_accuracy_reward, anchor_count_reward, anchor_refinement_reward
from tvg_lightning.rewards.extra import extra_reward
from tvg_lightning.rewards.format import format_reward
from tvg_lightning.rewards.frame_dependence import frame_dependence_reward
from tvg_lightning.rewards.inversion import INVERSION_REWARDS
from tvg_lightning.rewards.iou import iou_reward
from tvg_lightning.rewards.length import length_reward
from tvg_lightning.rewards.parse_penalty import parse_penalty_reward
from tvg_lightning.rewards.refusal import refusal_reward
from tvg_lightning.rewards.set_iou import set_iou_reward
from tvg_lightning.rewards.soft_iou import soft_iou_reward
from tvg_lightning.rewards.timestamp_iou import timestamp_iou_reward
from tvg_lightning.rewards.wasserstein import wasserstein_reward
from tvg_lightning.rewards.weights import AnchorSettings, FrameDependenceSettings, LengthSettings, RewardWeights
from tvg_lightning.schema import Answer, AnswerFormat, Sample, Span, Task
from tvg_lightning.span_sets import answer_iou
from tvg_lightning.spans import best_window

_Parts = dict[str, Callable[[], float]]  # called only where the weight is above 0: tagging verbs is not free


@dataclass(frozen=True, slots=True)
class RewardParts:
    """The reward of one completion: its parts before weighting, their weighted sum, and what was read."""

    parts: dict[str, float]  # by the names of RewardWeights; only those that count
    total: float
    answer: Answer


@dataclass(frozen=True, slots=True)
class Rewards:
    """The rewards of a run: ``sum_i weight_i * part_i`` over a task's parts with a weight above 0.

    All tasks: format, length and your own. Grounding: iou, soft_iou, timestamp_iou (of the first window of the answer),
    set_iou, wasserstein, refusal and parse_penalty (of all of them), the three of the anchors, and frame_dependence,
    which compares the completions of a group and is added by ``with_frame_dependence``. Inversion: the task's own.
    """

    form: AnswerFormat
    weights: RewardWeights
    anchors: AnchorSettings = AnchorSettings()  # noqa: RUF009  # frozen
    length: LengthSettings = LengthSettings()  # noqa: RUF009  # frozen
    frame_dependence: FrameDependenceSettings = FrameDependenceSettings()  # noqa: RUF009  # frozen

    def score(
        self, text: str, task: Task, sample: Sample, query_verbs: tuple[str, ...] = (), num_tokens: int = 0
    ) -> RewardParts:
        """The reward of a completion of ``num_tokens`` tokens about a sample.

        ``query_verbs``: lemmas, as of ``tasks.verbs.verb_lemmas(query)``. A ValueError where there is nothing to
        score against or no weight applies: no text of the model causes one.

        >>> from tvg_lightning.schema import Method
        >>> rewards = Rewards(AnswerFormat(Method.TIME_R1), RewardWeights(format=1.0, iou=1.0))
        >>> sample = Sample("s1", "a.mp4", 9.0, "a circle moves", windows=(Span(0.0, 8.0),))
        >>> rewards.score("<think>It moves.</think><answer>0.0 to 4.0</answer>", Task.TVG, sample).total
        1.5
        """
        if task is Task.TVG:
            answer = read_strict(text, self.form)
            if sample.windows is None:
                raise ValueError("reward: the truth of the sample is unknown: leave it out of training")
            parts = _grounding_parts(answer, sample.windows, sample.duration_s, self.anchors)
        else:
            content = read_inverted(text)
            answer = Answer(content is not None, None)
            parts = _inversion_parts(task, content, query_verbs)
        parts = {
            "format": lambda: format_reward(answer.follows_format),
            "length": lambda: length_reward(num_tokens, self.length),
            **parts,
            **{e.name: partial(extra_reward, e.function, text, task, answer, sample) for e in self.weights.extra},
        }
        weight_of = self.weights.as_dict()
        values = {name: part() for name, part in parts.items() if weight_of[name] > 0.0}
        comes_later = task is Task.TVG and self.weights.frame_dependence > 0.0
        if not values and not comes_later:
            raise ValueError(f"reward: no weight above 0 applies to task {task}: set one of {', '.join(parts)}")
        return RewardParts(values, sum(weight_of[name] * value for name, value in values.items()), answer)

    def with_frame_dependence(
        self, group: Sequence[RewardParts], windows: Sequence[Span], dependences: Sequence[float] | None
    ) -> list[RewardParts]:
        """The rewards of a grounding prompt's completions, with TaRO's bonus; without ``dependences`` none earns it.

        The IoU that the bonus asks for is the metrics', of the answer that the other rewards are for.
        """
        weight, least = self.weights.frame_dependence, self.frame_dependence.min_iou
        bonuses = [0.0] * len(group)
        if dependences is not None:
            pairs = zip(group, dependences, strict=True)
            bonuses = [frame_dependence_reward(d, dependences, answer_iou(s.answer, windows), least) for s, d in pairs]
        return [
            replace(score, parts={**score.parts, "frame_dependence": bonus}, total=score.total + weight * bonus)
            for score, bonus in zip(group, bonuses, strict=True)
        ]


def _grounding_parts(answer: Answer, windows: Sequence[Span], duration_s: float, settings: AnchorSettings) -> _Parts:
    # All estimates are held against one window, the answer's: refining means closing in on one moment
    # (reconstruction for several windows). Without an answer the last anchor stands in for it.
    aim = answer.span or (answer.anchors[-1] if answer.anchors else None)
    truth = best_window(aim, windows) or Span(0.0, 0.0)  # not in the video: no anchor is near it
    return {
        "iou": lambda: iou_reward(answer.span, windows),
        "soft_iou": lambda: soft_iou_reward(answer.span, windows),
        "timestamp_iou": lambda: timestamp_iou_reward(answer.span, windows, duration_s),
        "set_iou": lambda: set_iou_reward(answer.spans, windows),
        "wasserstein": lambda: wasserstein_reward(answer.spans, windows),
        "refusal": lambda: refusal_reward(answer.spans, windows, duration_s),
        "parse_penalty": lambda: parse_penalty_reward(answer.spans),
        "anchor_accuracy": lambda: anchor_accuracy_reward(answer.anchors, truth),
        "anchor_refinement": lambda: anchor_refinement_reward(answer.anchors, answer.span, truth, settings),
        "anchor_count": lambda: anchor_count_reward(len(answer.anchors), settings),
    }


def _inversion_parts(task: Task, content: str | None, query_verbs: tuple[str, ...]) -> _Parts:
    if not query_verbs:
        raise ValueError(f"reward: a query without a verb cannot be scored as {task}: use tasks.inversion.task_for")
    return {task.value: lambda: INVERSION_REWARDS[task](content, query_verbs)}
