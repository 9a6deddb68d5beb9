"""Answers to a batch of questions, and what they are worth: for validate, test and predict."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import torch
from torch import nn

from tvg_lightning.data.items import Item
from tvg_lightning.harvest import is_refining
from tvg_lightning.metrics.grounding import GroundingMetrics
from tvg_lightning.metrics.sets import SetMetrics
from tvg_lightning.modules.evaluation_settings import EvaluationSettings
from tvg_lightning.modules.step import StepContext
from tvg_lightning.parsing import read_inverted, read_thought
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.frame_dependence import frame_dependence, orders_of
from tvg_lightning.policy.generation import Completion, RolloutEngine
from tvg_lightning.presets import Scorer
from tvg_lightning.rewards.inversion import INVERSION_REWARDS
from tvg_lightning.rewards.weights import FrameDependenceSettings
from tvg_lightning.schema import Answer, AnswerFormat, Sample, Task
from tvg_lightning.spans import iou_to_windows
from tvg_lightning.timestrings import names_time

EMPTY_THOUGHT = "<think>\n</think>\n"
DIAGNOSTIC = FrameDependenceSettings()  # the same for all runs, so that their figures can be compared


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One answer. ``score``: IoU of a grounding answer, 0 or 1 of an inversion, None without truth.

    Where the item has an ``error`` there is no answer, and it is worth 0. ``names_time`` is None where a grounding
    answer has no thought, ``frame_dependence`` (d of ``policy.frame_dependence``) where it was not measured.
    """

    item: Item
    text: str
    answer: Answer
    anchor_ious: tuple[float, ...]
    score: float | None
    num_tokens: int  # of the whole text, the end token included
    truncated: bool  # ended by max_new_tokens
    names_time: bool | None = None  # the thought does
    frame_dependence: float | None = None


@torch.no_grad()
def evaluate(
    policy: PolicyBackbone,
    items: Sequence[Item],
    form: AnswerFormat,
    settings: EvaluationSettings,
    engine: RolloutEngine,
    seed: int = 0,
) -> list[Evaluated]:
    """Answer every item and hold the answer against the truth, where there is one.

    Where answers are sampled, each has random numbers of its own, from the seed and its position. With
    ``settings.frame_dependence`` two more passes over the answers measure d, at temperature 1 and TaRO's radius. The
    tokens of an empty thought, where answers begin with one, are not counted in ``max_new_tokens``.
    """
    prompts = [policy.encode(item.prompt, item.clip) for item in items]
    features = policy.video_features(prompts)
    generation, scorer = settings.generation, settings.scorer(form)
    uniforms, more = None, {}
    if settings.empty_thought:
        *given, _ = policy.text_to_ids(EMPTY_THOUGHT)  # the turn does not end here
        generation = replace(generation, max_new_tokens=generation.max_new_tokens + len(given))
        more = {"prefixes": [[given if item.task == Task.TVG else []] for item in items]}
    if generation.temperature > 0:
        context = StepContext(seed, "evaluation", 0, 0)
        uniforms = context.uniforms([item.position for item in items], 1, generation.max_new_tokens)
    groups = engine(policy, prompts, features, 1, generation, uniforms, **more)
    answers = [
        judge(item, group[0], form, scorer) if item.error is None else unanswered(item, form, scorer)
        for item, group in zip(items, groups, strict=True)
    ]
    if not settings.frame_dependence:
        return answers
    # a sample's frames are shuffled in one way, in every evaluation and every run: only the policy differs
    orders = [orders_of(item, DIAGNOSTIC.radius_s, [Random(item.sample.sample_id)]) for item in items]
    found = frame_dependence(policy, prompts, [[group[0].token_ids] for group in groups], features, orders, 1.0)
    return [
        replace(answer, frame_dependence=None if d is None else d[0]) for answer, d in zip(answers, found, strict=True)
    ]


def merged_questions(samples: Sequence[Sample]) -> frozenset[str]:
    """The ids of questions that are asked again later, of the same video, words and windows: published scripts merge
    such ones, and the last counts (as in ``scoring.score``).
    """
    last = {(sample.video, sample.query, sample.windows): sample.sample_id for sample in samples}
    return frozenset(sample.sample_id for sample in samples) - frozenset(last.values())


def unanswered(item: Item, form: AnswerFormat, scorer: Scorer | None = None) -> Evaluated:
    """The result where the video cannot be read: no answer, which is worth 0 and stays in the denominator.

    Unless a published script leaves it out, and is to be followed.
    """
    scorer = scorer or Scorer(form)
    is_left_out = scorer.published is not None and scorer.published.missing_leave
    has_truth = item.task != Task.TVG or (item.sample.windows is not None and not is_left_out)
    answer = Answer(False, None, is_set=scorer.says_sets and item.task == Task.TVG)
    return Evaluated(item, "", answer, (), 0.0 if has_truth else None, num_tokens=0, truncated=False)


def judge(item: Item, completion: Completion, form: AnswerFormat, scorer: Scorer | None = None) -> Evaluated:
    """Read one completion, tolerantly, as the benchmarks do: prose with a window counts as an answer.

    ``scorer``: the way of a preset; None: that of the format.
    """
    scorer = scorer or Scorer(form)
    text, length = completion.text, (len(completion.token_ids), completion.truncated)
    if item.task != Task.TVG:
        content = read_inverted(text)
        # an answer without its tags still shows whether the action was understood
        worth = INVERSION_REWARDS[item.task](text if content is None else content, item.query_verbs)
        return Evaluated(item, text, Answer(content is not None, None), (), worth, *length)
    answer, thought = scorer.counted(scorer.read(text), item.sample.duration_s), read_thought(text)
    is_timed, windows = None if thought is None else names_time(thought), item.sample.windows
    if windows is None:
        return Evaluated(item, text, answer, (), None, *length, is_timed)
    ious = tuple(iou_to_windows(anchor, windows) for anchor in answer.anchors)
    return Evaluated(item, text, answer, ious, scorer.iou(answer, windows), *length, is_timed)


class SplitMetrics(nn.Module):
    """The metrics of a split; for a format of sets also those of sets; mIoU and R1@m by kind of question, too."""

    def __init__(self, settings: EvaluationSettings, form: AnswerFormat, kinds: Sequence[str] = ()) -> None:
        super().__init__()
        scorer = settings.scorer(form)
        published, strict = scorer.published, scorer.strict(settings.strict_recall)
        leave = published is not None and published.unread_leave_mean
        self.grounding = GroundingMetrics(settings.max_anchors, scorer.thresholds, strict, leave)
        spoilt = published is not None and published.spoils_sets
        self.sets = SetMetrics(as_released=spoilt) if scorer.says_sets else None
        self.kinds = tuple(kinds)
        self.of_kinds = nn.ModuleList(GroundingMetrics(0, scorer.thresholds, strict, leave) for _ in kinds)

    def update(self, evaluated: Sequence[Evaluated]) -> None:
        """Add a batch; questions without truth are answered but not counted."""
        update_metrics(self.grounding, evaluated)
        judged = [e for e in evaluated if e.item.task == Task.TVG and e.score is not None]
        if self.sets is not None and judged:
            self.sets.update([e.answer.spans for e in judged], [e.item.sample.windows or () for e in judged])
        for kind, metric in zip(self.kinds, self.of_kinds, strict=True):
            of_kind = [e for e in judged if e.item.sample.kind == kind]
            if of_kind:
                metric.update(  # type: ignore[operator]  # a ModuleList knows Modules only
                    Task.TVG,
                    [e.score for e in of_kind],
                    unread=[e.answer.spans is None for e in of_kind],
                    frame_dependence=[e.frame_dependence for e in of_kind],
                )

    def compute(self) -> dict[str, float]:
        """The metrics by their names, over all processes, each of which must call this; of a kind as mIoU/kind."""
        found = self.grounding.compute() | (self.sets.compute() if self.sets is not None else {})
        for kind, metric in zip(self.kinds, self.of_kinds, strict=True):
            found |= {f"{name}/{kind}": value for name, value in metric.compute().items()}  # type: ignore[operator]
        return found

    def reset(self) -> None:
        """Forget what was added."""
        for metric in (self.grounding, self.sets, *self.of_kinds):
            if metric is not None:
                metric.reset()


def update_metrics(metric: GroundingMetrics, evaluated: Sequence[Evaluated]) -> None:
    """Add a batch, task by task; questions without truth are answered but not counted."""
    for task in Task:
        judged = [e for e in evaluated if e.item.task == task and e.score is not None]
        if not judged:
            continue
        scores = [e.score for e in judged if e.score is not None]
        num_tokens, truncated = [e.num_tokens for e in judged], [e.truncated for e in judged]
        if task == Task.TVG:
            metric.update(
                task,
                scores,
                [e.answer.follows_format for e in judged],
                [e.anchor_ious for e in judged],
                [is_refining(e.answer.anchors, e.answer.span, e.item.sample.windows or ()) for e in judged],
                num_tokens=num_tokens,
                truncated=truncated,
                unread=[e.answer.spans is None for e in judged],
                names_time=[e.names_time for e in judged],
                frame_dependence=[e.frame_dependence for e in judged],
            )
        else:
            metric.update(task, scores, num_tokens=num_tokens, truncated=truncated)


def _spans_of(answer: Answer) -> dict[str, object]:
    """The answer under the key that says whether it is a set."""
    spans = None if answer.spans is None else [list(span) for span in answer.spans]
    return {"spans": spans} if answer.is_set else {"span": spans[0] if spans else None}


def prediction_record(evaluated: Evaluated) -> dict[str, object]:
    """The record that ``predict`` gives for one query. Times are seconds from the start of the (cut) video."""
    sample, answer, error = evaluated.item.sample, evaluated.answer, evaluated.item.error
    record: dict[str, object] = {
        "qid": sample.sample_id,
        "video": sample.video,
        "query": sample.query,
        "text": evaluated.text,
        "follows_format": answer.follows_format,
        **_spans_of(answer),
        "anchors": [list(anchor) for anchor in answer.anchors],
        "iou": evaluated.score,
        "duration_s": sample.duration_s,
        "frame_times_s": [] if error is not None else [round(t, 3) for t in evaluated.item.clip.times_s],
    }
    if sample.kind:
        record["kind"] = sample.kind
    if evaluated.frame_dependence is not None:
        record["frame_dependence"] = evaluated.frame_dependence
    return record if error is None else {**record, "error": error}
