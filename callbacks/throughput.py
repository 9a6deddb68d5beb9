"""Speed and memory of a run: seconds and peak memory by phase, tokens a second, share of the peak."""

import time

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import STEP_OUTPUT

from tvg_lightning.data.items import Item
from tvg_lightning.modules.grounding import GroundingModule
from tvg_lightning.modules.precision import compute_dtype


class Throughput(Callback):
    """Logs ``speed/…`` and ``memory/…`` every step.

    MFU is the operations that the step needs at least (``policy/flops.py``) over its seconds, as a share of
    ``peak_tflops``; None measures that peak at the start, with large matrix products in the run's dtype. There is no
    metric for padding: rows have none.

    Args:
        peak_tflops: the machine's peak, in units of 1e12 operations a second (default: measured at the start).
    """

    def __init__(self, peak_tflops: float | None = None) -> None:
        if peak_tflops is not None and not peak_tflops > 0:
            raise ValueError(f"Throughput: peak_tflops must be positive, not {peak_tflops}")
        self.peak_tflops = peak_tflops
        self._began_s = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, GroundingModule)
        if self.peak_tflops is None:
            dtype = compute_dtype(str(trainer.precision), pl_module.policy.head.dtype)
            self.peak_tflops = measured_peak_tflops(pl_module.device, dtype)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: list[Item], batch_idx: int
    ) -> None:
        self._began_s = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: STEP_OUTPUT,
        batch: list[Item],
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, GroundingModule) and pl_module.last_step is not None
        assert self.peak_tflops is not None
        phases, step = pl_module.phases, pl_module.last_step
        phases.end()
        step_s = time.perf_counter() - self._began_s
        metrics = {f"speed/{name}_s": seconds for name, seconds in phases.seconds.items()}
        metrics |= {f"memory/{name}_gib": peak for name, peak in phases.peak_gib.items()}
        metrics["speed/step_s"] = step_s
        metrics["speed/tokens_per_s"] = step.num_tokens / step_s
        metrics["speed/mfu"] = step.flops / step_s / (self.peak_tflops * 1e12)
        if "rollout" in phases.seconds:
            metrics["speed/rollout_share"] = phases.seconds["rollout"] / step_s
        pl_module.log_dict(metrics, batch_size=len(batch))


def measured_peak_tflops(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product, the best of a few, in units of 1e12."""
    size = 8192 if device.type == "cuda" else 1024
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best_s = float("inf")
    for _ in range(5):
        began_s = time.perf_counter()
        product = left @ right
        product[0, 0].item()  # waits for the GPU
        best_s = min(best_s, time.perf_counter() - began_s)
    return 2 * size**3 / best_s / 1e12
