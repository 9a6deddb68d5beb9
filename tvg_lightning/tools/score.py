"""``python -m tvg_lightning score``: R1@m and mIoU of a file of predictions on a published data set."""

import logging
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from json import dumps
from pathlib import Path

from tvg_lightning.data.annotations.benchmarks import BenchmarkName, records
from tvg_lightning.files import refuse_existing, write_jsonl
from tvg_lightning.predictions import Prediction, read_predictions
from tvg_lightning.presets import PresetName, Scorer
from tvg_lightning.progress import tracked
from tvg_lightning.schema import AnswerFormat, Method, MethodName
from tvg_lightning.scoring import Matched, QueryScore, counts, match, metrics, score, set_metrics

logger = logging.getLogger(__name__)

_COLUMNS = 4  # of the table


def main(
    benchmark: BenchmarkName,
    annotations: Path,
    predictions: Path,
    companion: Path | None = None,
    method: MethodName | None = None,
    thought: bool | None = None,
    strict: bool = False,
    json: bool = False,
    per_query: Path | None = None,
    preset: PresetName | None = None,
    as_published: bool = False,
) -> None:
    """Score predictions against the truth as published; answers that are sets also by the metrics of sets.

    Args:
        benchmark: the form of the annotations; jsonl is this project's own.
        annotations: the file of the data set.
        predictions: QVHighlights submissions, what predict wrote (file or folder), {"qid", "text"} or
            {"qid", "pred": [start, end]} lines, and the like; JSON lines or JSON.
        companion: second file of the data set, where it is not beside the first (default: the one beside it).
        method: the format of the answers in texts; prose with a time in it is read too (default: time_r1).
        thought: a thought stands before the answers (default: as the method has it).
        strict: count IoU > m for R1@m instead of IoU >= m, as Time-R1 does.
        json: print one JSON object instead of a table.
        per_query: also write every query with its prediction, the window it was scored against, and the IoU to this
            file (default: none).
        preset: read texts and score as this evaluation does (docs/evaluation.md); its name stands before the numbers
            (default: none, and the metrics of this project).
        as_published: with the faults of the preset's published script, too.
    """
    scorer = scorer_of(method, thought, preset, as_published)
    if per_query is not None:
        refuse_existing(per_query)
    truth = list(tracked(records(benchmark, annotations, companion), "reading annotations", "query"))
    given = read_predictions(predictions, scorer.form, scorer if preset is not None else None)
    matched = match(truth, given)
    scores = score(truth, matched.answers, scorer if preset is not None else None)
    tell(given, matched)
    percent = percent_of(scores, scorer, strict)
    numbers = {
        **counts(scores),
        "num_unknown": len(matched.unknown),
        "num_repeated": matched.num_repeated,
        "num_other_query": matched.num_other_query,
        "num_without_truth": len(truth) - len(scores),
    }
    if per_query is not None:
        write_per_query(per_query, scores)
    if json:
        named = {} if preset is None else {"preset": preset, "as_published": as_published}
        about = {"benchmark": benchmark, **named, "strict": scorer.strict(strict)}
        sys.stdout.write(dumps({**about, **percent, **numbers}) + "\n")
    else:
        sys.stdout.write(table(percent, numbers, scorer.label))


def scorer_of(method: MethodName | None, thought: bool | None, preset: PresetName | None, as_published: bool) -> Scorer:
    """The way in which texts are read and scored; ValueError where it is said twice, and otherwise."""
    if preset is None:
        return Scorer(AnswerFormat(Method(method or "time_r1"), thought), None, as_published)
    scorer = Scorer.of(preset, as_published)
    if method is not None and method != scorer.form.method:
        raise ValueError(
            f"preset {preset} reads answers in the format of method {scorer.form.method}: leave method out"
        )
    if thought is not None and thought != scorer.form.has_thought:
        words = "with" if scorer.form.has_thought else "without"
        raise ValueError(f"preset {preset} reads answers {words} a thought: leave thought out")
    return scorer


def percent_of(scores: Sequence[QueryScore], scorer: Scorer, strict: bool) -> dict[str, float]:
    """The metrics by the scorer's rules, in percent."""
    published = scorer.published
    leave_mean = published is not None and published.unread_leave_mean
    percent = metrics(scores, scorer.strict(strict), scorer.thresholds, leave_mean)
    return percent | set_metrics(scores, published is not None and published.spoils_sets)


def tell(given: Sequence[Prediction], matched: Matched) -> None:
    """Say what was read where, and what does not fit the annotations."""
    read = _listed(prediction.key for prediction in given)
    unread = _listed(key for prediction in given for key in prediction.keys_unread)
    logger.info("%d predictions, read from %s%s", len(given), read, f", not from {unread}" if unread else "")
    if matched.unknown:
        examples = ", ".join(f"{p.where()} ({p.qid or p.query!r})" for p in matched.unknown[:3])
        logger.warning("%d predictions are for no record, such as %s", len(matched.unknown), examples)
    if matched.num_other_query:
        logger.warning("%d predictions have a record's id and another sentence", matched.num_other_query)


def _listed(keys: Iterable[str]) -> str:
    return ", ".join(f"{key} ({num})" for key, num in Counter(keys).most_common())


def table(percent: dict[str, float], numbers: dict[str, int], label: str | None = None) -> str:
    """The metrics, each below its name, then the counts, those of trouble only where there is any.

    ``label``, a preset's, stands before every line of numbers.
    """
    keys, label = list(percent), label or ""
    rows = [keys[at : at + _COLUMNS] for at in range(0, len(keys), _COLUMNS)]
    lines = [
        " " * len(label)
        + "".join(f"{key:>{max(8, len(key) + 2)}}" for key in row)
        + f"\n{label}"
        + "".join(f"{percent[key]:{max(8, len(key) + 2)}.2f}" for key in row)
        for row in rows
    ]
    told = ", ".join(f"{num} {key.removeprefix('num_').replace('_', ' ')}" for key, num in numbers.items() if num)
    return "\n".join([*lines, told]) + "\n"


def write_per_query(path: Path, scores: Sequence[QueryScore]) -> None:
    """One JSON line a query; ``location`` is null where it has no prediction."""
    lines = []
    for query in scores:
        record, answer = query.record, query.prediction
        said = answer.answer if answer is not None else None
        line = {
            "qid": record.sample_id,
            "video": record.video,
            "query": record.query,
            "prediction": None if said is None else said.spans if said.is_set else said.span,
            "window": query.window,
            "iou": query.iou,
            "location": answer.where() if answer is not None else None,
        }
        lines.append(line)
    write_jsonl(path, lines)
