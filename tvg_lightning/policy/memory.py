"""Peak memory since a chosen moment, so that every phase of a step has its own peak."""

import os
from pathlib import Path

import torch

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def start_peak(device: torch.device) -> None:
    """Forget the peak so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif _can_reset():
        _RESET.write_text("5")  # Linux: the peak of resident memory starts again at what is resident now


def peak_gib(device: torch.device) -> float | None:
    """The peak since then: tensors on a GPU, resident memory of the process on Linux, None where that is not told."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    if not _can_reset():
        return None
    (line,) = [line for line in _STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 2**20


def _can_reset() -> bool:
    """False on other systems than Linux, and in containers that forbid it."""
    return os.access(_RESET, os.W_OK)
