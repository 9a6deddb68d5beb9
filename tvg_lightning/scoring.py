"""Published metrics from a file of predictions: which answer is whose, the IoU of every query, and the table.

Truth is taken as published: windows that end after their video are not cut, and a window that cannot be true
(reversed, zero length) is an IoU of 0 that stays in the denominator. Predictions are not cut either.
"""

import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tvg_lightning.data.annotations.records import Record
from tvg_lightning.files import VIDEO_SUFFIXES, Location
from tvg_lightning.metrics.iou import as_float64, recall_hits, recall_key
from tvg_lightning.metrics.sets import SetMetrics
from tvg_lightning.predictions import Prediction
from tvg_lightning.presets import THRESHOLDS, PublishedScoring, Scorer
from tvg_lightning.schema import Span
from tvg_lightning.span_sets import answer_iou
from tvg_lightning.spans import best_window, is_usable

logger = logging.getLogger(__name__)

_LAST_NUMBER = re.compile(r"(?:.*_)?(\d+)", re.DOTALL)


@dataclass(slots=True)
class Matched:
    """Predictions by the records that they answer."""

    unknown: list[Prediction]  # for no record of the file
    answers: dict[int, Prediction] = field(default_factory=dict)  # by the record's index
    num_repeated: int = 0  # the same answer once more, as the last batch of several processes gives
    num_other_query: int = 0  # under a record's id, but with another sentence


@dataclass(frozen=True, slots=True)
class QueryScore:
    """The score of one query: the IoU with the true window of highest IoU; 0 without a usable prediction."""

    record: Record
    prediction: Prediction | None  # None: missing
    iou: float

    @property
    def is_read(self) -> bool:
        """True where there is an answer that can be used."""
        return self.prediction is not None and self.prediction.answer.spans is not None

    @property
    def window(self) -> Span | None:
        """The true window that was scored against; None where nothing could be."""
        span = self.prediction.answer.span if self.prediction is not None else None
        return best_window(span, self.record.windows or ()) if span is not None else None


@dataclass(slots=True)
class Assigned:
    """Predictions with the indices of the records that they are for, in their order."""

    answers: list[tuple[int, Prediction]] = field(default_factory=list)
    unknown: list[Prediction] = field(default_factory=list)  # for no record of the file


def match(records: Sequence[Record], predictions: Sequence[Prediction]) -> Matched:
    """Give every record its one prediction; see ``assign``. ValueError where two predictions for one record differ."""
    assigned = assign(records, predictions)
    matched = Matched(assigned.unknown)
    for index, prediction in assigned.answers:
        _answer(matched, records, index, prediction)
    return matched


def assign(records: Sequence[Record], predictions: Sequence[Prediction]) -> Assigned:
    """Give every prediction to the record(s) that it answers; a record may get several.

    By the record's id, or its ``VIDEO_ID``; failing that by video (name without folder and suffix) and query
    (blanks and case apart); one answer to a question that is asked several times answers all of these, as many
    answers as questions are taken in their order. If nothing fits, ids that end in 0, 1, … N-1 for the N
    records, each once, are positions in the file, as Time-R1 writes ``charades_0``, unless a sentence differs.

    ValueError where a repeated question cannot be told apart, or no prediction fits any record.
    """
    by_id = _indices_by_id(records)
    by_question: dict[tuple[str, str], list[int]] = {}
    for index, record in enumerate(records):
        by_question.setdefault(_question(record.video, record.query), []).append(index)
    assigned = Assigned()
    asked: dict[tuple[str, str], list[Prediction]] = {}
    for prediction in predictions:
        found = _index_by_id(by_id, prediction)
        question = _question(prediction.video, prediction.query) if prediction.video and prediction.query else None
        if found is not None:
            assigned.answers.append((found, prediction))
        elif question is not None and question in by_question:
            asked.setdefault(question, []).append(prediction)
        else:
            assigned.unknown.append(prediction)
    for question, answers in asked.items():
        assigned.answers += _in_order(by_question[question], answers)
    return assigned if assigned.answers else _by_position(records, predictions)


def score(
    records: Sequence[Record], answers: Mapping[int, Prediction], scorer: Scorer | None = None
) -> list[QueryScore]:
    """The IoU of every record that has a truth, in their order; ``answers`` by index, as from ``match``.

    ``scorer``: the way of a preset, by which the answers were read. As published it may leave records out.
    ValueError if the truth of all of them is unknown, as in test splits with hidden answers, or none is left.
    """
    if not any(_is_true(record.windows) for record in records):
        raise ValueError("the annotations hold no true window (hidden test answers?); score on a split that has them")
    scores = []
    for index, record in enumerate(records):
        if record.windows is not None:
            prediction = answers.get(index)
            if scorer is not None:
                record, prediction = _counted(record, prediction, scorer)
            iou_of = answer_iou if scorer is None else scorer.iou
            iou = 0.0 if prediction is None else iou_of(prediction.answer, record.windows or ())
            scores.append(QueryScore(record, prediction, iou))
    return scores if scorer is None or scorer.published is None else _left_in(scores, scorer.published)


def _counted(record: Record, prediction: Prediction | None, scorer: Scorer) -> tuple[Record, Prediction | None]:
    """The true windows that count, and the answer as it is held against them."""
    if prediction is not None:
        prediction = replace(prediction, answer=scorer.counted(prediction.answer, record.duration_s))
    return replace(record, windows=tuple(scorer.truths(record.windows or ()))), prediction


def _left_in(scores: Sequence[QueryScore], published: PublishedScoring) -> list[QueryScore]:
    """The scores that a published script counts: without those of unanswered questions, equal questions once."""
    left = [query for query in scores if query.prediction is not None or not published.missing_leave]
    if published.stale:
        left = list(_with_stale(left))
    if published.merges:
        keyed = {(query.record.video, query.record.query, query.record.windows): query for query in left}
        left = list(keyed.values())
    if not left:
        raise ValueError("the published script leaves out questions without an answer, and here is no other")
    return left


def _with_stale(scores: Iterable[QueryScore]) -> Iterator[QueryScore]:
    """The IoU before it for every answer that cannot be read; those at the begin, before which there is none, drop."""
    last: float | None = None
    for query in scores:
        last = query.iou if query.is_read else last
        if last is not None:
            yield replace(query, iou=last)


def metrics(
    scores: Sequence[QueryScore],
    strict: bool = False,
    thresholds: Sequence[float] = THRESHOLDS,
    unread_leave_mean: bool = False,
) -> dict[str, float]:
    """R1@m and mIoU over all queries, in percent and unrounded.

    R1@m is the share of queries with IoU >= m; ``strict`` asks for > m, as Time-R1's evaluation does. The mean
    is summed exactly, so the order of the files cannot show in it. ``unread_leave_mean``: it is over the queries with a
    window alone, as in TimeLens2's; without any it is 0.
    """
    ious = [query.iou for query in scores]
    hits = recall_hits(as_float64(ious, "ious"), thresholds, strict).tolist()
    recalls = {recall_key(limit): 100 * num / len(ious) for limit, num in zip(thresholds, hits, strict=True)}
    num_in_mean = sum(query.is_read for query in scores) if unread_leave_mean else len(scores)
    return {**recalls, "mIoU": 100 * math.fsum(ious) / max(1, num_in_mean)}


def _is_true(windows: Sequence[Span] | None) -> bool:
    """True where windows state a truth; that there is none is one."""
    return windows is not None and (not windows or any(map(is_usable, windows)))


def set_metrics(scores: Sequence[QueryScore], as_released: bool = False) -> dict[str, float]:
    """The metrics of sets of windows (``metrics.sets``) in percent; none where no answer is one."""
    answers = [None if query.prediction is None else query.prediction.answer for query in scores]
    if not any(answer is not None and answer.is_set for answer in answers):
        return {}
    metric = SetMetrics(THRESHOLDS, as_released)
    truths = [query.record.windows or () for query in scores]
    metric.update([None if answer is None else answer.spans for answer in answers], truths)
    return {key: 100 * value for key, value in metric.compute().items()}


def counts(scores: Sequence[QueryScore]) -> dict[str, int]:
    """Numbers of queries: scored, without a prediction, and without a usable one."""
    answers = [query.prediction for query in scores]
    return {
        "num_queries": len(scores),
        "num_missing": sum(answer is None for answer in answers),
        "num_unusable": sum(query is not None and query.answer.spans is None for query in answers),
    }


def _indices_by_id(records: Iterable[Record]) -> dict[str, int]:
    indices: dict[str, int] = {}
    locations: dict[str, Location] = {}
    for index, record in enumerate(records):
        if indices.setdefault(record.sample_id, index) != index:
            first = locations[record.sample_id]
            raise ValueError(
                f"annotations: id {record.sample_id!r} is at {first} and at {record.location}; make it unique"
            )
        locations[record.sample_id] = record.location
    return indices


def _index_by_id(by_id: Mapping[str, int], prediction: Prediction) -> int | None:
    if prediction.qid is None:
        return None
    if prediction.qid in by_id or prediction.video is None:
        return by_id.get(prediction.qid)
    return by_id.get(f"{_video_name(prediction.video)}_{prediction.qid}")


def _question(video: str, query: str) -> tuple[str, str]:
    return _video_name(video), _plain(query)


def _video_name(video: str) -> str:
    """The name without folder and suffix; ``_210.0_360.0`` at the end of a QVHighlights name is no suffix."""
    name = video.replace("\\", "/").rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return stem if (dot + suffix).lower() in VIDEO_SUFFIXES else name


def _plain(query: str) -> str:
    """The sentence without what people change in it: blanks, case, the full stop."""
    return " ".join(query.split()).casefold().rstrip(" .")


def _in_order(indices: Sequence[int], answers: Sequence[Prediction]) -> list[tuple[int, Prediction]]:
    """The records of one question, by index, each with its answer."""
    if len(indices) == len(answers):
        return list(zip(indices, answers, strict=True))
    if len(indices) == 1:
        return [(indices[0], answer) for answer in answers]
    if len({given.answer.spans for given in answers}) == 1:
        return [(index, answers[0]) for index in indices]
    raise ValueError(
        f"{answers[0].where()}: this question is asked {len(indices)} times in the annotations and answered "
        f"{len(answers)} times; write the qid of each"
    )


def _answer(matched: Matched, records: Sequence[Record], index: int, prediction: Prediction) -> None:
    """Note an answer; the same once more is counted, another one refused."""
    first = matched.answers.setdefault(index, prediction)
    if first is not prediction:
        if first.answer.spans != prediction.answer.spans:
            raise ValueError(
                f"{prediction.where()}: answers {records[index].sample_id!r} otherwise than {first.where()}; keep one"
            )
        matched.num_repeated += 1
    elif _is_other_query(records[index], prediction):
        matched.num_other_query += 1


def _is_other_query(record: Record, prediction: Prediction) -> bool:
    return prediction.query is not None and _plain(prediction.query) != _plain(record.query)


def _by_position(records: Sequence[Record], predictions: Sequence[Prediction]) -> Assigned:
    numbers = [_LAST_NUMBER.fullmatch(prediction.qid or "") for prediction in predictions]
    positions = [int(number[1]) for number in numbers if number is not None]
    if len(predictions) == len(records) and sorted(positions) == list(range(len(records))):
        answers = list(zip(positions, predictions, strict=True))
        if not any(_is_other_query(records[position], prediction) for position, prediction in answers):
            logger.warning("no id is that of a record: the ids were taken as positions in the annotations, from 0")
            return Assigned(answers)
    wanted, got = records[:1], predictions[:1]
    raise ValueError(
        "no prediction is for a record of the annotations; "
        f"a record: {[(r.sample_id, r.video, r.query) for r in wanted]}, "
        f"a prediction: {[(p.qid, p.video, p.query) for p in got]}; write the records' ids as qid"
    )
