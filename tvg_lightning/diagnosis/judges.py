"""Pure judgements of the completions of one group, one finding a function; see ``findings.Judge``.

Times are in seconds. A completion that a judgement says nothing about, because its trace does not tell what is
needed, is left out; one that is fine is given with None.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain

import torch

from tvg_lightning.advantage import constant_groups
from tvg_lightning.diagnosis.departures import departure, inverted_departure, time_departure
from tvg_lightning.diagnosis.findings import Judge, Judged
from tvg_lightning.prompts import PromptTemplates, templates_of
from tvg_lightning.schema import AnswerFormat, Span, Task
from tvg_lightning.timestrings import stated_windows
from tvg_lightning.traces import Trace

UNNAMED = "the traces do not say which format was asked for: give --method"
ALL_0, ALL_1 = "every reward 0", "every reward 1"
ONE_TEXT, SAME_REWARD = "one and the same text", "several texts of the same reward"
FEW_S = 1.0  # a time this far beyond the end is rounding
_HIT, _FAR = 0.5, 0.2  # an IoU that counts, and a distance from the group's mean that matters
_ROUNDING = 1e-6  # of a mean of equal rewards

ExamplesOf = Callable[[AnswerFormat], frozenset[Span]]


def truncated(group: Sequence[Trace]) -> Judged:
    """Completions that the token limit ended; old traces do not tell."""
    return ((t, "cut off" if t.truncated else None) for t in group if t.truncated is not None)


def out_of_format(fallback: AnswerFormat | None) -> Judge:
    """Completions out of the format, by what is wrong with each; ``fallback`` for traces that do not say theirs."""

    def judge(group: Sequence[Trace]) -> Judged:
        for trace in group:
            form = trace.form or fallback
            if trace.follows_format:
                yield trace, None
            elif trace.truncated:
                yield trace, "cut off at the token limit"
            elif trace.task is not Task.TVG:
                yield trace, inverted_departure(trace.text)
            else:
                yield trace, UNNAMED if form is None else departure(trace.text, form)

    return judge


def without_time(fallback: AnswerFormat | None) -> Judge:
    """Grounding answers in the format whose time cannot be read."""

    def judge(group: Sequence[Trace]) -> Judged:
        for trace in group:
            form = trace.form or fallback
            if trace.task is Task.TVG and trace.follows_format:
                is_bad = trace.spans is None
                yield trace, None if not is_bad else UNNAMED if form is None else time_departure(trace.text, form)

    return judge


def constant(group: Sequence[Trace]) -> Judged:
    """Groups whose completions all earn the same, which have no gradient; a lone completion is no group.

    A group that learns from its annotation, too (``grpo.oracle``), has a gradient all the same.
    """
    if len(group) < 2:
        return
    first, *others = group
    if first.oracle_advantage or not bool(constant_groups(torch.tensor([[t.reward for t in group]]))):
        yield first, None
    elif not any(value for t in group for value in t.rewards.values()):
        yield first, ALL_0
    elif all(value == 1.0 for t in group for value in t.rewards.values()):
        yield first, ALL_1
    else:
        yield first, ONE_TEXT if all(other.text == first.text for other in others) else SAME_REWARD


def beyond_video(group: Sequence[Trace]) -> Judged:
    """Answers or anchors that end after the video, by more than a second."""
    for trace in group:
        ends_s = [span.end_s for span in chain(trace.spans or (), trace.anchors)]
        if ends_s:
            is_beyond = max(ends_s) > trace.duration_s + FEW_S
            yield trace, "a time beyond the end" if is_beyond else None


def copied_example(examples_of: ExamplesOf, fallback: AnswerFormat | None) -> Judge:
    """Answers and anchors that are to the digit those of the prompt's example, and miss the truth (IoU below 0.5)."""

    def judge(group: Sequence[Trace]) -> Judged:
        for trace in group:
            form = trace.form or fallback
            if trace.task is not Task.TVG or form is None or not (trace.spans or trace.anchors):
                continue
            examples = examples_of(form)
            misses = trace.answer_iou is None or trace.answer_iou < _HIT
            if misses and any(span in examples for span in trace.spans or ()):
                yield trace, "the answer"
            elif misses and any(anchor in examples for anchor in trace.anchors):
                yield trace, "an anchor"
            else:
                yield trace, None

    return judge


def prompt_examples(templates: PromptTemplates | None = None) -> ExamplesOf:
    """The windows that the prompt of a format holds as examples; ``templates``: other words than the format's own."""

    @cache
    def examples_of(form: AnswerFormat) -> frozenset[Span]:
        words = templates or templates_of(form)
        return frozenset(stated_windows(words.tvg) + stated_windows(words.system or ""))

    return examples_of


def truth_unseen(group: Sequence[Trace]) -> Judged:
    """Grounding samples whose true windows all begin after the last frame that was seen; one judgement a group."""
    trace = group[0]
    if trace.task is Task.TVG and trace.windows and trace.last_frame_s is not None:
        is_unseen = all(window.start_s > trace.last_frame_s for window in trace.windows)
        yield trace, "after the last frame" if is_unseen else None


def iou_and_reward(group: Sequence[Trace]) -> Judged:
    """Answers better than their group by IoU and worse by reward, or the reverse.

    Better: an IoU of at least 0.5 and at least 0.2 above the group's mean, with a reward below the mean reward.
    Worse: an IoU at least 0.2 below the mean, with a reward above it.
    """
    ious = [t.answer_iou for t in group if t.answer_iou is not None]
    if len(ious) < len(group) or len(group) < 2:
        return
    mean_iou, mean_reward = sum(ious) / len(ious), sum(t.reward for t in group) / len(group)
    for trace, iou in zip(group, ious, strict=True):
        if iou >= max(_HIT, mean_iou + _FAR) and trace.reward < mean_reward - _ROUNDING:
            yield trace, "IoU high, reward low"
        elif iou <= mean_iou - _FAR and trace.reward > mean_reward + _ROUNDING:
            yield trace, "IoU low, reward high"
        else:
            yield trace, None
