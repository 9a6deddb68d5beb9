"""All metrics of a validation or test run in one metric: two state vectors, hence two collectives."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tvg_lightning.metrics.iou import ExactMetric, as_float64, checked_thresholds, recall_hits, recall_key
from tvg_lightning.schema import Task

ACCURACY_KEYS: Mapping[Task, str] = {
    Task.VERB_COMPLETION: "verb_completion_accuracy",
    Task.ACTION_RECOGNITION: "action_recognition_accuracy",
    Task.VIDEO_DESCRIPTION: "video_description_accuracy",
}


class GroundingMetrics(ExactMetric):
    """mIoU, R1@m, format rate, anchors, accuracy of the three inversion tasks, and how long the answers are.

    Every metric is its own sum / count. Grounding: mIoU, R1@m, format_rate and refining_rate (the share whose
    anchors close in on the truth, ``harvest.is_refining``) over all grounding samples, those without anchors
    included. ``anchor_mIoU_k``: over the samples that have a k-th anchor, with ``anchor_count_k`` beside it, since a
    later anchor's mean is over other samples than an earlier one's. Accuracies: over the samples of that task
    (VC, AR, VD of Invert4TVG, arXiv 2508.07388). ``completion_length``, in tokens, and ``truncated``, the
    share that max_new_tokens ended: over the samples of all tasks. ``thoughts_with_time``, the share of thoughts that
    name a time (TaRO, arXiv 2606.09248): over the grounding answers that have a thought. ``frame_dependence``, the mean
    of TaRO's d: over those for which it was measured. Anchors after ``max_anchors`` have no mean of their own.
    ``unread_leave_mean``: answers without a window are not in the mIoU, but are in R1@m (TimeLens2's script).
    A metric without a sample is left out of the result, so a run without inversion tasks logs none.
    """

    is_differentiable = False
    full_state_update = False
    sums: Tensor
    counts: Tensor

    def __init__(
        self,
        max_anchors: int = 4,
        thresholds: Sequence[float] = (0.3, 0.5, 0.7),
        strict: bool = False,
        unread_leave_mean: bool = False,
    ) -> None:
        super().__init__()
        if max_anchors < 0:
            raise ValueError(f"max_anchors: expected 0 or more, got {max_anchors}")
        self.max_anchors = max_anchors
        self.thresholds = checked_thresholds(thresholds)
        self.strict = strict
        self.unread_leave_mean = unread_leave_mean
        self._keys = (
            "mIoU",
            *(recall_key(limit) for limit in self.thresholds),
            "format_rate",
            "refining_rate",
            *(f"anchor_mIoU_{k}" for k in range(1, max_anchors + 1)),
            *ACCURACY_KEYS.values(),
            "completion_length",
            "truncated",
            "thoughts_with_time",
            "frame_dependence",
        )
        self.add_state("sums", torch.zeros(len(self._keys), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("counts", torch.zeros(len(self._keys), dtype=torch.long), dist_reduce_fx="sum")

    @property
    def update_called(self) -> bool:
        """True: a process that saw no sample has done nothing wrong, so ``compute`` need not warn."""
        return True

    def update(
        self,
        task: Task,
        scores: Tensor | Sequence[float],
        follows_format: Sequence[bool] | None = None,
        anchor_ious: Sequence[Sequence[float]] | None = None,
        refining: Sequence[bool] | None = None,
        *,
        num_tokens: Sequence[int] | None = None,
        truncated: Sequence[bool] | None = None,
        unread: Sequence[bool] | None = None,
        names_time: Sequence[bool | None] | None = None,
        frame_dependence: Sequence[float | None] | None = None,
    ) -> None:
        """Add B samples of one task. What is left out is left out of the metrics.

        ``scores`` are IoUs for grounding, the binary rewards 0 or 1 for an inversion; ``num_tokens`` (B) and
        ``truncated`` (B) go with either. For grounding only: ``follows_format`` (B), ``anchor_ious`` (B lists, empty
        where a sample has no anchor), ``refining`` (B), ``unread`` (B), where no window was read, and ``names_time``
        (B) and ``frame_dependence`` (B), with None where a sample has neither.
        """
        scores_B = as_float64(scores, "scores")
        if task == Task.TVG:
            parts = self._of_scores(scores_B)
            if self.unread_leave_mean and unread is not None:
                _same_length("unread", unread, scores_B)
                parts["mIoU"] = (float(scores_B.sum()), len(unread) - sum(unread))
        else:
            if any(x is not None for x in (follows_format, anchor_ious, refining, names_time, frame_dependence)):
                raise ValueError(
                    f"{task}: follows_format, anchor_ious, refining, names_time and frame_dependence are for the "
                    "grounding task; leave them out"
                )
            parts = {ACCURACY_KEYS[task]: (float(scores_B.sum()), scores_B.numel())}
        for key, name, values in (
            ("format_rate", "follows_format", follows_format),
            ("refining_rate", "refining", refining),
            ("completion_length", "num_tokens", num_tokens),
            ("truncated", "truncated", truncated),
            ("thoughts_with_time", "names_time", names_time),
            ("frame_dependence", "frame_dependence", frame_dependence),
        ):
            if values is not None:
                _same_length(name, values, scores_B)
                known = [value for value in values if value is not None]
                parts[key] = (float(sum(known)), len(known))
        if anchor_ious is not None:
            _same_length("anchor_ious", anchor_ious, scores_B)
            parts |= self._of_anchors(anchor_ious)
        self._add(parts)  # last, so that a refused batch has added nothing

    def compute(self) -> dict[str, float]:
        """The metrics that have a sample, over all processes."""
        metrics: dict[str, float] = {}
        for key, total, count in zip(self._keys, self.sums.tolist(), self.counts.tolist(), strict=True):
            if count:
                metrics[key] = total / count
                if key.startswith("anchor_mIoU_"):
                    metrics[key.replace("mIoU", "count")] = float(count)
        return metrics

    def _of_scores(self, scores_B: Tensor) -> dict[str, tuple[float, int]]:
        hits_M = recall_hits(scores_B, self.thresholds, self.strict)
        parts = {"mIoU": (float(scores_B.sum()), scores_B.numel())}
        for limit, hits in zip(self.thresholds, hits_M.tolist(), strict=True):
            parts[recall_key(limit)] = (hits, scores_B.numel())
        return parts

    def _of_anchors(self, anchor_ious: Sequence[Sequence[float]]) -> dict[str, tuple[float, int]]:
        parts: dict[str, tuple[float, int]] = {}
        for k in range(self.max_anchors):
            kth_B = as_float64([ious[k] for ious in anchor_ious if len(ious) > k], "anchor_ious")
            parts[f"anchor_mIoU_{k + 1}"] = (float(kth_B.sum()), kth_B.numel())
        return parts

    def _add(self, parts: Mapping[str, tuple[float, int]]) -> None:
        for key, (total, count) in parts.items():
            index = self._keys.index(key)
            self.sums[index] += total
            self.counts[index] += count


def _same_length(name: str, values: Sequence[object], scores_B: Tensor) -> None:
    if len(values) != scores_B.numel():
        raise ValueError(f"{name}: {len(values)} entries for {scores_B.numel()} scores; pass one a sample")


def anchor_means(metrics: Mapping[str, float]) -> list[float]:
    """The mean IoU of anchor 1, 2, … out of ``GroundingMetrics.compute()``: the refinement curve as a list.

    >>> anchor_means({"mIoU": 0.5, "anchor_mIoU_1": 0.25, "anchor_count_1": 8.0, "anchor_mIoU_2": 0.375})
    [0.25, 0.375]
    """
    means: list[float] = []
    while f"anchor_mIoU_{len(means) + 1}" in metrics:
        means.append(metrics[f"anchor_mIoU_{len(means) + 1}"])
    return means
