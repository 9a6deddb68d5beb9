"""``python -m tvg_lightning filter RULE``: training sets by difficulty, from a model's answers to them.

The answers are traces (of ``annotate``, or of any GRPO run), or the predictions of ``train.py predict``: fresh
rollouts of any checkpoint.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tvg_lightning.data.annotations import jsonl
from tvg_lightning.data.annotations.records import Record
from tvg_lightning.files import first_keys, refuse_existing
from tvg_lightning.filter.ious import answer_ious, means
from tvg_lightning.filter.time_r1 import TimeR1Rule, draw_by_difficulty
from tvg_lightning.filter.timelens import TimeLensRule, draw_by_duration
from tvg_lightning.filter.timelens2 import TimeLens2Rule, stored_ious, weighted
from tvg_lightning.filter.tvg_r1 import TVGR1Rule, split_by_teacher
from tvg_lightning.predictions import read_predictions
from tvg_lightning.progress import tracked
from tvg_lightning.schema import AnswerFormat, Method, MethodName, Sample
from tvg_lightning.scoring import Assigned, assign
from tvg_lightning.span_sets import answer_iou
from tvg_lightning.traces import Trace, read_traces, write_traces


def tvg_r1(
    traces: list[Path],
    annotations: Path,
    cold_start: Path,
    reinforce: Path,
    rule: TVGR1Rule = TVGR1Rule(),  # noqa: B008  # frozen
    videos_outside: bool = False,
) -> None:
    """TVG-R1: the teacher's good answers for the cold start, the samples that are neither easy nor too hard for RL.

    Args:
        traces: files that annotate wrote.
        annotations: the training set in the project's own JSONL.
        cold_start: file of traces to write; give it to data.targets.
        reinforce: file of annotations to write; give it to data.train of the RL stage.
        rule: the two thresholds.
        videos_outside: accept videos outside of the folder of videos (absolute, or with ..); see docs/data.md.
    """
    refuse_existing(cold_start, reinforce)
    samples = jsonl.read(annotations, videos_outside).samples
    split = split_by_teacher(samples, [trace for path in traces for trace in _traces(path)], rule)
    _write(reinforce, split.reinforce)
    write_traces(cold_start, split.cold_start)
    sys.stdout.write(
        f"{len(samples)} samples: {len(split.cold_start)} traces for the cold start in {cold_start}, "
        f"{len(split.reinforce)} samples for RL in {reinforce}, {split.num_too_hard} too hard, "
        f"{split.num_unanswered} without an answer; {split.num_other} answers to other samples\n"
    )


def time_r1(
    answers: list[Path],
    annotations: Path,
    out: Path,
    method: MethodName = "time_r1",
    thought: bool | None = None,
    rule: TimeR1Rule = TimeR1Rule(),  # noqa: B008  # frozen
    videos_outside: bool = False,
) -> None:
    """Time-R1: a training set drawn by a Gaussian over the IoU of the base model's answers; IoU 0 is never drawn.

    Args:
        answers: traces, or predictions over the training set, in every form that score reads.
        annotations: the training set in the project's own JSONL.
        out: file of annotations to write; give it to data.train.
        method: the format of the texts in predictions.
        thought: a thought stands before the answers in them (default: as the method has it).
        rule: the Gaussian, how many to draw, and the seed.
        videos_outside: accept videos outside of the folder of videos (absolute, or with ..); see docs/data.md.
    """
    refuse_existing(out)
    answered = _answered(answers, annotations, AnswerFormat(Method(method), thought), videos_outside)
    samples, ious = answered.samples, means(answered.ious)
    chosen = draw_by_difficulty(samples, ious, rule)
    _write(out, chosen)
    num_answered = sum(sample.sample_id in ious for sample in samples)
    num_hopeless = sum(ious.get(sample.sample_id) == 0 for sample in samples)
    sys.stdout.write(
        f"{len(samples)} samples: {num_answered} answered, {num_hopeless} of them with IoU 0, "
        f"{len(chosen)} drawn into {out}; {answered.num_unknown} answers to other samples\n"
    )


def timelens(
    answers: list[Path],
    annotations: Path,
    out: Path,
    method: MethodName = "timelens",
    thought: bool | None = None,
    rule: TimeLensRule = TimeLensRule(),  # noqa: B008  # frozen
    videos_outside: bool = False,
) -> None:
    """TimeLens: as many samples of every bin of duration, the hard ones likelier, by the IoU of a model's answers.

    Args:
        answers: traces, or predictions over the training set, in every form that score reads.
        annotations: the training set in the project's own JSONL.
        out: file of annotations to write; give it to data.train.
        method: the format of the texts in predictions.
        thought: a thought stands before the answers in them (default: as the method has it).
        rule: bins, the Gaussian, what is left out before, how many to draw, and the seed.
        videos_outside: accept videos outside of the folder of videos (absolute, or with ..); see docs/data.md.
    """
    refuse_existing(out)
    answered = _answered(answers, annotations, AnswerFormat(Method(method), thought), videos_outside)
    draw = draw_by_duration(answered.samples, means(answered.ious), rule)
    _write(out, draw.samples)
    bins = ", ".join(f"{taken} of {there}" for taken, there in zip(draw.num_drawn, draw.num_candidates, strict=True))
    sys.stdout.write(
        f"{len(answered.samples)} samples: {sum(draw.num_candidates)} can be drawn, {len(draw.samples)} drawn into "
        f"{out} (by duration, shortest first: {bins}); {answered.num_unknown} answers to other samples\n"
    )


def timelens2(
    annotations: Path,
    out: Path,
    answers: list[Path] = [],  # noqa: B006  # never changed
    method: MethodName = "timelens2",
    thought: bool | None = None,
    rule: TimeLens2Rule = TimeLens2Rule(),  # noqa: B008  # frozen
    videos_outside: bool = False,
) -> None:
    """TimeLens2: a weight for every sample by a model's earlier answers; training then draws the hard ones first.

    Args:
        annotations: the training set in the project's own JSONL; the rollouts that came with it count as answers.
        out: file of the same annotations with weights to write; give it to data.train.
        answers: traces, or predictions over the training set, beside those rollouts; two answers a sample or more.
        method: the format of the texts in predictions and rollouts.
        thought: a thought stands before the answers in them (default: as the method has it).
        rule: the weight of a sample by the mean IoU of its answers.
        videos_outside: accept videos outside of the folder of videos (absolute, or with ..); see docs/data.md.
    """
    refuse_existing(out)
    form = AnswerFormat(Method(method), thought)
    answered = _answered(answers, annotations, form, videos_outside)
    ious = [*answered.ious, *stored_ious(answered.samples, form)]
    samples = weighted(answered.samples, ious, rule)
    _write(out, samples)
    counts = Counter(name for name, _ in ious)
    num_few = sum(counts[sample.sample_id] < 2 for sample in samples)
    weights = [sample.weight for sample in samples]
    few = f"{num_few} of them have fewer than two answers (rule.few_answers {rule.few_answers})"
    sys.stdout.write(
        f"{len(samples)} samples with weights from {min(weights):.3g} to {max(weights):.3g} in {out}; {few}; "
        f"{answered.num_unknown} answers to other samples\n"
    )


@dataclass(frozen=True, slots=True)
class _Answered:
    """Samples, the IoU of every answer to one of them with its id, and how many answers are to others."""

    samples: Sequence[Sample]
    ious: list[tuple[str, float]]
    num_unknown: int


def _answered(answers: Sequence[Path], annotations: Path, form: AnswerFormat, videos_outside: bool) -> _Answered:
    samples = jsonl.read(annotations, videos_outside).samples
    records = list(jsonl.records(annotations))
    found: list[tuple[str, float]] = []
    num_unknown = 0
    for path in answers:
        if _holds_traces(path):
            found += answer_ious(_traces(path))
        else:
            assigned = assign(records, read_predictions(path, form))
            found += _ious(records, samples, assigned)
            num_unknown += len(assigned.unknown)
    names = {sample.sample_id for sample in samples}
    num_unknown += sum(name not in names for name, _ in found)
    return _Answered(samples, found, num_unknown)


def _ious(records: Sequence[Record], samples: Sequence[Sample], assigned: Assigned) -> Iterator[tuple[str, float]]:
    """Sample id and IoU of every prediction but those for samples without truth, which is that of training: clipped.

    A record that is no sample, for it was refused, has IoU 0.
    """
    windows = {sample.sample_id: sample.windows for sample in samples}
    for index, prediction in assigned.answers:
        name = records[index].sample_id
        truth = windows.get(name, ())
        if truth is not None:
            yield name, answer_iou(prediction.answer, truth)


def _traces(path: Path) -> Iterator[Trace]:
    return tracked(read_traces(path), f"reading {path.name}", "trace")


def _holds_traces(path: Path) -> bool:
    """Traces have a step, predictions have none."""
    return path.is_file() and {"step", "rollout"} <= first_keys(path)


def _write(path: Path, samples: Sequence[Sample]) -> None:
    if not samples:
        raise ValueError(
            f"{path}: nothing is left to write; relax the rule, or check that the answers are to these ids"
        )
    jsonl.write(path, samples)
