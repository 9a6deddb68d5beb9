"""The machine's own limits: operations a second of large products, bytes a second of a copy."""

import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.gpu.sizes import Sizes, settle


def fastest_s(work: Callable[[], Any], device: torch.device, tries: int = 10) -> float:
    """Seconds of the fastest of several tries, after one that does not count."""
    work()
    seconds = []
    for _ in range(tries):
        settle(device)
        start_s = time.perf_counter()
        work()
        settle(device)
        seconds.append(time.perf_counter() - start_s)
    return min(seconds)


def limits(sizes: Sizes, device: torch.device) -> dict[str, Any]:
    """Matrix peak by type, and memory bandwidth; a copy reads and writes."""
    found: dict[str, Any] = {
        "name": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
    }
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.randn(sizes.matrix, sizes.matrix, device=device).to(dtype)
        seconds = fastest_s(lambda matrix=matrix: matrix @ matrix, device)  # type: ignore[misc]
        found[f"{dtype}".removeprefix("torch.") + "_tflops"] = 2 * sizes.matrix**3 / seconds / 1e12
    source = torch.empty(sizes.copied_mib * 2**20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    found["bandwidth_gb_per_s"] = 2 * source.numel() / fastest_s(lambda: target.copy_(source), device) / 1e9
    return found
