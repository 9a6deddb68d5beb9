"""Peak memory since a chosen moment, so that every phase of a step has its own peak."""

from pathlib import Path

import torch

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def start_peak(device: torch.device) -> None:
    """Forget the peak so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif _RESET.exists():
        _RESET.write_text("5")  # Linux: the peak of resident memory starts again at what is resident now


def peak_gib(device: torch.device) -> float | None:
    """The peak since then: tensors on a GPU, resident memory of the process on Linux, None on other systems."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    if not _RESET.exists():
        return None
    (line,) = [line for line in _STATUS.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 2**20
