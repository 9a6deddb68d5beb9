"""``python -m tvg_lightning compare``: answers of two ways to the same queries, with the interval of their difference.

A way is one run, or the runs of several seeds: a query's IoU is then the mean over them.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from json import dumps
from pathlib import Path

import numpy as np

from tvg_lightning.files import is_number, read_jsonl

NUM_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Answered:
    """The IoU of a run's answer to a query, or the mean of several runs'."""

    video: str
    kind: str
    iou: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean IoUs of two runs over the same queries; ``low`` to ``high`` is the 95 % interval of their difference.

    Both are None where all queries are about one video: its difference alone says nothing about another's.
    """

    kind: str
    num_queries: int
    first: float
    second: float
    difference: float
    low: float | None
    high: float | None


def main(first: list[Path] | Path, second: list[Path] | Path, json: bool = False) -> None:
    """Compare the mIoU of two runs of predict on the same queries, over all and by kind of question.

    The interval is of a bootstrap over videos, since queries about one video are not independent: 2,000 resamples, seed
    0. An interval without 0 in it is a difference that other queries of the same make would show, too; what another
    seed of training would do it does not tell. For that give several runs a side, such as '[a/0, a/1, a/2]'.
    Queries about one video only have no interval.

    Args:
        first: file or folder that predict wrote, or a list of them, one a seed.
        second: that of the other run, or runs; the difference is second - first.
        json: print one JSON object a line instead of a table.
    """
    runs = [[read_ious(path) for path in (side if isinstance(side, list) else [side])] for side in (first, second)]
    found = differences(mean_over_runs(runs[0]), mean_over_runs(runs[1]))
    sys.stdout.write("".join(f"{dumps(asdict(one))}\n" for one in found) if json else table(found))


def read_ious(path: Path) -> dict[str, Answered]:
    """The IoU of every answer with a truth, by the query's id; ValueError for what predict did not write."""
    files = sorted(path.glob("predictions*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path}: no predictions*.jsonl in this folder; name the file")
    answered: dict[str, Answered] = {}
    for file in files:
        for line, given in read_jsonl(file):
            if not {"qid", "video", "iou"} <= given.keys():
                raise ValueError(f"{file}:{line}: not a line that predict wrote: qid, video and iou are needed")
            if given["qid"] in answered:
                raise ValueError(f"{file}:{line}: {given['qid']!r} is answered twice; keep one")
            if is_number(given["iou"]):
                answered[given["qid"]] = Answered(given["video"], given.get("kind", ""), float(given["iou"]))
    if not answered:
        raise ValueError(f"{path}: no answer has an IoU: predict on annotations with windows")
    return answered


def mean_over_runs(runs: Sequence[Mapping[str, Answered]]) -> dict[str, Answered]:
    """The mean IoU of every query over runs of several seeds; ValueError where they answer other queries."""
    if not runs:
        raise ValueError("no run is given on one side of the comparison")
    for run in runs[1:]:
        _check_same_queries(runs[0], run)
    return {
        query: replace(one, iou=math.fsum(run[query].iou for run in runs) / len(runs)) for query, one in runs[0].items()
    }


def _check_same_queries(first: Mapping[str, Answered], second: Mapping[str, Answered]) -> None:
    alone = sorted(first.keys() ^ second.keys())
    if alone:
        raise ValueError(f"{len(alone)} queries are answered by one run only, such as {alone[0]!r}: take the same ones")


def differences(first: Mapping[str, Answered], second: Mapping[str, Answered]) -> list[Difference]:
    """The difference over all queries, then of each kind, where there are several."""
    _check_same_queries(first, second)
    kinds = sorted({one.kind for one in first.values()} - {""})
    of_kind = [(kind, [q for q in first if first[q].kind == kind]) for kind in kinds if len(kinds) > 1]
    return [_difference(name, first, second, queries) for name, queries in [("all", list(first)), *of_kind]]


def _difference(
    kind: str, first: Mapping[str, Answered], second: Mapping[str, Answered], queries: Sequence[str]
) -> Difference:
    mean, other = (float(np.mean([answers[query].iou for query in queries])) for answers in (first, second))
    low, high = _interval(first, second, queries)
    return Difference(kind, len(queries), mean, other, other - mean, low, high)


def _interval(
    first: Mapping[str, Answered], second: Mapping[str, Answered], queries: Sequence[str]
) -> tuple[float, float] | tuple[None, None]:
    videos = sorted({first[query].video for query in queries})
    if len(videos) == 1:
        return None, None
    places = {video: place for place, video in enumerate(videos)}
    sums_V, counts_V = np.zeros(len(videos)), np.zeros(len(videos))
    for query in queries:
        sums_V[places[first[query].video]] += second[query].iou - first[query].iou
        counts_V[places[first[query].video]] += 1
    drawn_RV = np.random.default_rng(0).integers(0, len(videos), (NUM_RESAMPLES, len(videos)))
    low, high = np.quantile(sums_V[drawn_RV].sum(1) / counts_V[drawn_RV].sum(1), (0.025, 0.975))
    return float(low), float(high)


def table(found: Sequence[Difference]) -> str:
    """A line a kind."""
    lines = [f"{'':<12}{'queries':>8}{'first':>9}{'second':>9}{'difference':>12}{'95 % interval':>22}"]
    for one in found:
        interval = "none, for one video" if one.low is None else f"{one.low:+.4f} to {one.high:+.4f}"
        numbers = f"{one.num_queries:>8}{one.first:>9.4f}{one.second:>9.4f}{one.difference:>+12.4f}"
        lines.append(f"{one.kind:<12}{numbers}{interval:>22}")
    return "\n".join(lines) + "\n"
