"""Greedy answers to a batch of questions, and what they are worth: for validate, test and predict."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from tvg_lightning.data.items import Item
from tvg_lightning.harvest import is_refining
from tvg_lightning.metrics.grounding import GroundingMetrics
from tvg_lightning.metrics.sets import SetMetrics
from tvg_lightning.modules.settings import EvaluationSettings
from tvg_lightning.parsing import read_inverted, read_tolerant
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import Completion, RolloutEngine
from tvg_lightning.policy.settings import GenerationSettings
from tvg_lightning.rewards.inversion import INVERSION_REWARDS
from tvg_lightning.schema import Answer, AnswerFormat, Task
from tvg_lightning.span_sets import answer_iou
from tvg_lightning.spans import iou_to_windows


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One greedy answer. ``score``: IoU of a grounding answer, 0 or 1 of an inversion, None without truth.

    Where the item has an ``error`` there is no answer, and it is worth 0.
    """

    item: Item
    text: str
    answer: Answer
    anchor_ious: tuple[float, ...]
    score: float | None
    num_tokens: int  # of the whole text, the end token included
    truncated: bool  # ended by max_new_tokens


@torch.no_grad()
def evaluate(
    policy: PolicyBackbone,
    items: Sequence[Item],
    form: AnswerFormat,
    settings: EvaluationSettings,
    engine: RolloutEngine,
) -> list[Evaluated]:
    """Answer every item greedily and hold the answer against the truth, where there is one."""
    prompts = [policy.encode(item.prompt, item.clip) for item in items]
    greedy = GenerationSettings(settings.max_new_tokens, temperature=0.0)
    groups = engine(policy, prompts, policy.video_features(prompts), 1, greedy)
    return [
        judge(item, group[0], form) if item.error is None else unanswered(item, form)
        for item, group in zip(items, groups, strict=True)
    ]


def unanswered(item: Item, form: AnswerFormat) -> Evaluated:
    """The result where the video cannot be read: no answer, which is worth 0 and stays in the denominator."""
    has_truth = item.task != Task.TVG or item.sample.windows is not None
    answer = Answer(False, None, is_set=form.says_sets and item.task == Task.TVG)
    return Evaluated(item, "", answer, (), 0.0 if has_truth else None, num_tokens=0, truncated=False)


def judge(item: Item, completion: Completion, form: AnswerFormat) -> Evaluated:
    """Read one completion, tolerantly, as the benchmarks do: prose with a window counts as an answer."""
    text, length = completion.text, (len(completion.token_ids), completion.truncated)
    if item.task != Task.TVG:
        content = read_inverted(text)
        # an answer without its tags still shows whether the action was understood
        worth = INVERSION_REWARDS[item.task](text if content is None else content, item.query_verbs)
        return Evaluated(item, text, Answer(content is not None, None), (), worth, *length)
    answer = read_tolerant(text, form)
    windows = item.sample.windows
    if windows is None:
        return Evaluated(item, text, answer, (), None, *length)
    ious = tuple(iou_to_windows(anchor, windows) for anchor in answer.anchors)
    return Evaluated(item, text, answer, ious, answer_iou(answer, windows), *length)


class SplitMetrics(nn.Module):
    """The metrics of a split; for a format of sets also those of sets; mIoU and R1@m by kind of question, too."""

    def __init__(self, settings: EvaluationSettings, form: AnswerFormat, kinds: Sequence[str] = ()) -> None:
        super().__init__()
        self.grounding = GroundingMetrics(settings.max_anchors, strict=settings.strict_recall)
        self.sets = SetMetrics() if form.says_sets else None
        self.kinds = tuple(kinds)
        self.of_kinds = nn.ModuleList(GroundingMetrics(0, strict=settings.strict_recall) for _ in kinds)

    def update(self, evaluated: Sequence[Evaluated]) -> None:
        """Add a batch; questions without truth are answered but not counted."""
        update_metrics(self.grounding, evaluated)
        judged = [e for e in evaluated if e.item.task == Task.TVG and e.score is not None]
        if self.sets is not None and judged:
            self.sets.update([e.answer.spans for e in judged], [e.item.sample.windows or () for e in judged])
        for kind, metric in zip(self.kinds, self.of_kinds, strict=True):
            scores = [e.score for e in judged if e.item.sample.kind == kind and e.score is not None]
            if scores:
                metric.update(Task.TVG, scores)  # type: ignore[operator]  # a ModuleList knows Modules only

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
    return record if error is None else {**record, "error": error}
