"""OMTG's metrics for queries of any number of windows, and how well the absent is refused."""

from collections.abc import Mapping, Sequence

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from tvg_lightning.metrics.iou import ExactMetric, as_float64, checked_thresholds
from tvg_lightning.published.omtg import merged_in_place
from tvg_lightning.schema import Span
from tvg_lightning.span_sets import set_iou
from tvg_lightning.spans import iou

THRESHOLDS = (0.3, 0.5, 0.7)


def set_scores(
    predictions: Sequence[Span] | None,
    truths: Sequence[Span],
    thresholds: Sequence[float] = THRESHOLDS,
    as_released: bool = False,
) -> dict[str, float]:
    """The scores of one answer P against the true windows T, by log key; all in [0, 1].

    ``C-Acc = 1[|P| = |T|]``; ``set_IoU`` of the merged sets; ``tP@m = hits / |P|``, ``tR@m = hits / |T|`` and
    ``tF1@m``, their harmonic mean: hits are the pairs of IoU >= m in the one-to-one matching of highest total IoU,
    made once for all m; ``EtF1 = C-Acc * mean_m tF1@m``. OMTG (arXiv 2606.06294). P and T are counted as
    given, not merged; an unusable window counts, and hits nothing. 1: exactly the true windows, or none where
    there is none. 0: only one of them is empty, no pair is close enough, or the answer could not be read (None).

    Where we depart: OMTG's benchmark gives ``set_IoU`` 0 where both are empty, its reward 1, as here. Its
    release merges in place before it matches, which changes the first window; here the sets stay as they are.
    ``as_released`` does both its ways, and takes an answer that could not be read for an empty one.

    >>> scores = set_scores([Span(0.0, 4.0), Span(6.0, 8.0)], [Span(0.0, 4.0), Span(6.0, 10.0)], (0.3, 0.7))
    >>> [scores[key] for key in ("C-Acc", "set_IoU", "tP@0.3", "tP@0.7", "EtF1")]  # IoUs of the pairs: 1 and 0.5
    [1.0, 0.75, 1.0, 0.5, 0.75]
    """
    limits = checked_thresholds(thresholds)
    if predictions is None and as_released:
        predictions = ()
    if predictions is None:
        return dict.fromkeys(_score_keys(limits), 0.0)
    same_count = float(len(predictions) == len(truths))
    covers_nothing = as_released and not truths
    scores = {"C-Acc": same_count, "set_IoU": 0.0 if covers_nothing else set_iou(predictions, truths)}
    way = merged_in_place if as_released else list
    ious = matched_ious(way(predictions), way(truths))
    f1_of_M: list[float] = []
    for limit in limits:
        hits = sum(value >= limit for value in ious)
        scores[f"tP@{limit:g}"] = _share(hits, len(predictions), len(truths))
        scores[f"tR@{limit:g}"] = _share(hits, len(truths), len(predictions))
        # the harmonic mean of the two, in a form that is exact and knows no 0 / 0
        f1_of_M.append(_share(2 * hits, len(predictions) + len(truths), 0))
        scores[f"tF1@{limit:g}"] = f1_of_M[-1]
    scores["EtF1"] = same_count * sum(f1_of_M) / len(f1_of_M)
    return scores


def matched_ious(predictions: Sequence[Span], truths: Sequence[Span]) -> list[float]:
    """The IoUs of the pairs in the one-to-one matching of highest total IoU: min(|P|, |T|) of them.

    >>> matched_ious([Span(0.0, 4.0), Span(0.0, 3.0)], [Span(0.0, 4.0)])
    [1.0]
    """
    if not predictions or not truths:
        return []
    # sorted, so that between matchings of equal total the order in which windows are listed decides nothing
    ious_PT = [[iou(prediction, truth) for truth in sorted(truths)] for prediction in sorted(predictions)]
    rows, columns = linear_sum_assignment(ious_PT, maximize=True)
    return [ious_PT[row][column] for row, column in zip(rows.tolist(), columns.tolist(), strict=True)]


def _share(hits: int, count: int, other: int) -> float:
    """hits / count; without a count 1 where the other set is empty as well, else 0."""
    return hits / count if count else float(not other)


def _score_keys(thresholds: Sequence[float]) -> tuple[str, ...]:
    names = (f"{name}@{limit:g}" for limit in thresholds for name in ("tP", "tR", "tF1"))
    return ("C-Acc", "set_IoU", *names, "EtF1")


class SetMetrics(ExactMetric):
    """Means of ``set_scores`` over all samples, and how well queries about nothing in the video are refused.

    ``refusal_precision``: of the empty answers, the share about a query without a true window.
    ``refusal_recall``: of the queries without one, the share with an empty answer. Either is left out of the
    result where nothing is to be counted, and so is every score before the first sample. EtF1 is the mean of the
    samples' EtF1, not a product of means. An unreadable answer (None) scores 0 and is no refusal.
    """

    is_differentiable = False
    full_state_update = False
    sums: Tensor
    counts: Tensor

    def __init__(self, thresholds: Sequence[float] = THRESHOLDS, as_released: bool = False) -> None:
        super().__init__()
        self.as_released = as_released
        self.thresholds = checked_thresholds(thresholds)
        self._keys = (*_score_keys(self.thresholds), "refusal_precision", "refusal_recall")
        self.add_state("sums", torch.zeros(len(self._keys), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("counts", torch.zeros(len(self._keys), dtype=torch.long), dist_reduce_fx="sum")

    @property
    def update_called(self) -> bool:
        """True: a process that saw no sample has done nothing wrong, so ``compute`` need not warn."""
        return True

    def update(self, predictions: Sequence[Sequence[Span] | None], truths: Sequence[Sequence[Span]]) -> None:
        """Add B samples: the windows of each answer, None where it could not be read, and the true windows."""
        if len(predictions) != len(truths):
            raise ValueError(f"predictions: {len(predictions)} for {len(truths)} truths; pass one a sample")
        scored = [set_scores(p, t, self.thresholds, self.as_released) for p, t in zip(predictions, truths, strict=True)]
        columns = {key: [scores[key] for scores in scored] for key in _score_keys(self.thresholds)}
        columns |= _refusals(predictions, truths)
        for index, key in enumerate(self._keys):
            self.sums[index] += float(as_float64(columns[key], key).sum())
            self.counts[index] += len(columns[key])

    def compute(self) -> dict[str, float]:
        """The metrics that have something to count, over all processes."""
        rows = zip(self._keys, self.sums.tolist(), self.counts.tolist(), strict=True)
        return {key: total / count for key, total, count in rows if count}


def _refusals(
    predictions: Sequence[Sequence[Span] | None], truths: Sequence[Sequence[Span]]
) -> Mapping[str, list[float]]:
    """The right refusals as 1 and the others as 0: of those that were made, and of those that were due."""
    made_and_due = [(p is not None and not p, not t) for p, t in zip(predictions, truths, strict=True)]
    return {
        "refusal_precision": [float(due) for made, due in made_and_due if made],
        "refusal_recall": [float(made) for made, due in made_and_due if due],
    }
