"""Mean IoU and R1@m as torchmetrics shells: a sum and a count, so any split over processes gives one result.

The IoUs come from ``spans.iou_to_windows``; nothing is measured a second time here. A prediction that is
missing or unusable is an IoU of 0 and stays in the denominator.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import Module
from torchmetrics import Metric


def as_float64(values: Tensor | Sequence[float], name: str) -> Tensor:
    """The values as a 1-D float64 tensor of numbers in [0, 1].

    A float32 tensor is refused instead of widened: 0.7 kept in float32 is 0.69999999, and would miss R1@0.7.
    Plain Python floats are float64 already.
    """
    tensor = values if isinstance(values, Tensor) else torch.tensor(list(values), dtype=torch.float64)
    if tensor.ndim != 1:
        raise ValueError(f"{name}: expected one dimension, got shape {tuple(tensor.shape)}; pass one number a sample")
    if tensor.dtype is not torch.float64:
        raise ValueError(f"{name}: expected float64, got {tensor.dtype}; pass Python floats or a float64 tensor")
    if not bool(((tensor >= 0) & (tensor <= 1)).all()):  # also false for NaN
        raise ValueError(f"{name}: expected numbers in [0, 1], got {tensor.tolist()}")
    return tensor


def recall_hits(ious_B: Tensor, thresholds: Sequence[float], strict: bool = False) -> Tensor:
    """The number of IoUs that reach each threshold: (len(thresholds),) float64.

    R1@m counts IoU >= m; ``strict`` counts IoU > m, as Time-R1's evaluation does.

    >>> recall_hits(torch.tensor([0.5, 0.8], dtype=torch.float64), (0.3, 0.5)).tolist()
    [2.0, 2.0]
    >>> recall_hits(torch.tensor([0.5, 0.8], dtype=torch.float64), (0.3, 0.5), strict=True).tolist()
    [2.0, 1.0]
    """
    limits_M = torch.tensor(list(thresholds), dtype=torch.float64, device=ious_B.device)
    reached_BM = ious_B[:, None] > limits_M if strict else ious_B[:, None] >= limits_M
    return reached_BM.sum(dim=0).to(torch.float64)


def checked_thresholds(thresholds: Sequence[float]) -> tuple[float, ...]:
    """The thresholds as they are; ValueError unless there is one, all lie in [0, 1], and none is repeated."""
    limits = tuple(float(limit) for limit in thresholds)
    if not limits or len(set(limits)) < len(limits) or not all(0.0 <= limit <= 1.0 for limit in limits):
        raise ValueError(f"thresholds: expected different numbers in [0, 1], such as 0.3 0.5 0.7; got {limits}")
    return limits


def recall_key(threshold: float) -> str:
    """The log key of a recall: ``R1@0.5``."""
    return f"R1@{threshold:g}"


class ExactMetric(Metric):
    """A metric whose sums stay float64 when a module is cast, as ``precision: bf16-true`` casts it."""

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = ()) -> Module:
        super()._apply(fn, exclude_state)
        for name, start in self._defaults.items():
            value = getattr(self, name)
            if isinstance(start, Tensor) and start.is_floating_point():
                self._defaults[name] = start.double()
                setattr(self, name, value.double())
        return self


class MeanIoU(ExactMetric):
    """mIoU = sum of IoUs / number of queries; 1: every window exact, 0: none touched; NaN without a query."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, ious: Tensor | Sequence[float]) -> None:
        """Add IoUs in [0, 1], one a query."""
        ious_B = as_float64(ious, "ious")
        self.total += ious_B.sum().to(self.total.device)
        self.count += ious_B.numel()

    def compute(self) -> Tensor:
        """The mean over all queries of all processes, float64 scalar."""
        return self.total / self.count


class RecallAtIoU(ExactMetric):
    """R1@m = share of queries whose IoU reaches m; 1: all do, 0: none does; NaN without a query.

    ``strict`` asks for IoU > m instead of IoU >= m.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    hits: Tensor
    count: Tensor

    def __init__(self, thresholds: Sequence[float] = (0.3, 0.5, 0.7), strict: bool = False) -> None:
        super().__init__()
        self.thresholds = checked_thresholds(thresholds)
        self.strict = strict
        self.add_state("hits", torch.zeros(len(self.thresholds), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, ious: Tensor | Sequence[float]) -> None:
        """Add IoUs in [0, 1], one a query."""
        ious_B = as_float64(ious, "ious")
        self.hits += recall_hits(ious_B, self.thresholds, self.strict).to(self.hits.device)
        self.count += ious_B.numel()

    def compute(self) -> dict[str, Tensor]:
        """``{"R1@0.3": …, "R1@0.5": …, "R1@0.7": …}`` over all queries of all processes."""
        shares_M = self.hits / self.count
        return {recall_key(limit): share for limit, share in zip(self.thresholds, shares_M, strict=True)}
