"""The few collectives that a training step needs. Each is the identity where there is one process."""

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def sum_over_ranks(count: Tensor) -> Tensor:
    """The sum of a scalar over all processes. No gradient."""
    return _reduced(count, dist.ReduceOp.SUM)


def max_over_ranks(count: int, device: torch.device) -> int:
    """The largest of the processes' counts, so that all take the same number of turns."""
    return int(_reduced(torch.tensor(count, device=device), dist.ReduceOp.MAX))


def rows_of_all_ranks(rows_BG: Tensor) -> tuple[Tensor, slice]:
    """The rows of every process in the order of the ranks, (world * B, G), and which of them are ours."""
    num_B = rows_BG.shape[0]
    if not _is_parallel():
        return rows_BG, slice(0, num_B)
    parts = [torch.empty_like(rows_BG) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, rows_BG.contiguous())
    return torch.cat(parts), slice(dist.get_rank() * num_B, (dist.get_rank() + 1) * num_B)


def mean_over_ranks(metrics: Mapping[str, float]) -> dict[str, float]:
    """Each metric's mean over the processes that have it; some have none of a task."""
    values: dict[str, list[float]] = {}
    for part in of_all_ranks(dict(metrics)):
        for name, value in part.items():
            values.setdefault(name, []).append(value)
    return {name: sum(found) / len(found) for name, found in values.items()}


def of_all_ranks(ours: T) -> list[T]:
    """The objects of all processes, in the order of the ranks."""
    if not _is_parallel():
        return [ours]
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, ours)
    return parts


def merged_over_ranks(entries: Mapping[int, float]) -> dict[int, float]:
    """The union of all processes' entries."""
    return {key: value for part in of_all_ranks(dict(entries)) for key, value in part.items()}


def rank_and_world_size() -> tuple[int, int]:
    """The rank of this process, and the number of processes."""
    return (dist.get_rank(), dist.get_world_size()) if _is_parallel() else (0, 1)


def _is_parallel() -> bool:
    return dist.is_available() and dist.is_initialized()


def _reduced(count: Tensor, operation: dist.ReduceOp.RedOpType) -> Tensor:
    if not _is_parallel():
        return count.detach()
    total = count.detach().clone()
    dist.all_reduce(total, operation)
    return total
