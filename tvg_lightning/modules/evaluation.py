"""Greedy answers to a batch of questions, and what they are worth: for validate, test and predict."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tvg_lightning.data.items import Item
from tvg_lightning.metrics.grounding import GroundingMetrics
from tvg_lightning.modules.settings import EvaluationSettings
from tvg_lightning.parsing import read_inverted, read_tolerant
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.rollout import sample
from tvg_lightning.policy.settings import SamplingSettings
from tvg_lightning.rewards.action_recognition import action_recognition_reward
from tvg_lightning.rewards.verb_completion import verb_completion_reward
from tvg_lightning.rewards.video_description import video_description_reward
from tvg_lightning.schema import Answer, Method, Task
from tvg_lightning.spans import iou_to_windows

_INVERSION_REWARDS = {
    Task.VERB_COMPLETION: verb_completion_reward,
    Task.ACTION_RECOGNITION: action_recognition_reward,
    Task.VIDEO_DESCRIPTION: video_description_reward,
}


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One greedy answer. ``score``: IoU of a grounding answer, 0 or 1 of an inversion, None without truth."""

    item: Item
    text: str
    answer: Answer
    anchor_ious: tuple[float, ...]
    score: float | None


@torch.no_grad()
def evaluate(
    policy: PolicyBackbone, items: Sequence[Item], method: Method, settings: EvaluationSettings
) -> list[Evaluated]:
    """Answer every item greedily and hold the answer against the truth, where there is one."""
    prompts = [policy.encode(item.prompt, item.clip) for item in items]
    greedy = SamplingSettings(settings.max_new_tokens, temperature=0.0)
    groups = sample(policy, prompts, policy.see(prompts), 1, greedy)
    return [judge(item, group[0].text, method) for item, group in zip(items, groups, strict=True)]


def judge(item: Item, text: str, method: Method) -> Evaluated:
    """Read one text, tolerantly, as the benchmarks do: prose with a window counts as an answer."""
    if item.task != Task.TVG:
        content = read_inverted(text)
        # an answer without its tags still shows whether the action was understood
        worth = _INVERSION_REWARDS[item.task](text if content is None else content, item.query_verbs)
        return Evaluated(item, text, Answer(content is not None, None), (), worth)
    answer = read_tolerant(text, method)
    windows = item.sample.windows
    ious = tuple(iou_to_windows(anchor, windows) for anchor in answer.anchors) if windows else ()
    return Evaluated(item, text, answer, ious, iou_to_windows(answer.span, windows) if windows else None)


def update_metrics(metric: GroundingMetrics, evaluated: Sequence[Evaluated]) -> None:
    """Add a batch, task by task; questions without truth are answered but not counted."""
    for task in Task:
        judged = [(e, e.score) for e in evaluated if e.item.task == task and e.score is not None]
        if not judged:
            continue
        scores = [score for _, score in judged]
        if task == Task.TVG:
            metric.update(task, scores, [e.answer.well_formed for e, _ in judged], [e.anchor_ious for e, _ in judged])
        else:
            metric.update(task, scores)


def prediction_record(evaluated: Evaluated) -> dict[str, object]:
    """What ``predict`` gives for one query. Times are seconds from the start of the (cut) video."""
    sample, answer = evaluated.item.sample, evaluated.answer
    return {
        "qid": sample.sample_id,
        "video": sample.video,
        "query": sample.query,
        "text": evaluated.text,
        "well_formed": answer.well_formed,
        "span": list(answer.span) if answer.span is not None else None,
        "anchors": [list(anchor) for anchor in answer.anchors],
        "iou": evaluated.score,
        "duration_s": sample.duration_s,
        "frame_times_s": [round(t, 3) for t in evaluated.item.clip.times_s],
    }
