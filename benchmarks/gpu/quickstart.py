"""Steps of GRPO with the packaged policy, rewards and all, as the quickstart takes them."""

import time
from typing import Any

import torch

from benchmarks.gpu.sizes import settle
from benchmarks.sides.ours import OurStep
from benchmarks.sides.work import Work
from tvg_lightning.modules.phases import Phases
from tvg_lightning.policy.loading import TINY_FOLDER


def quickstart(small: bool, device: torch.device) -> dict[str, Any]:
    """Seconds of every phase of the second step, and its loss."""
    work = Work(side=4, new_tokens=4 if small else 64, num_generations=4)
    ours, clock, seconds, losses = OurStep(work, TINY_FOLDER, device.type), Phases(), [], []
    for number in range(2):
        start_s = time.perf_counter()
        losses.append(float(ours.take(number, clock).loss.detach()))
        settle(device)
        seconds.append(time.perf_counter() - start_s)
    return {"seconds": seconds[1], "losses": losses, "phases_s": dict(clock.seconds)}
