"""Settings of the optimizer and of its schedule."""

import math
from dataclasses import asdict, dataclass, field
from typing import Literal

OptimizerName = Literal["adamw", "adamw_8bit", "paged_adamw", "paged_adamw_8bit"]


@dataclass(frozen=True)
class PartSettings:
    """Settings of the optimizer for one part of the policy; None is as for the language model."""

    lr: float | None = None
    weight_decay: float | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"optimizer: {name} of a part must not be negative, not {value}")


@dataclass(frozen=True)
class OptimizerSettings:
    """AdamW and its schedule: linear warm-up, then constant, or down to 0 at the stage's last step.

    name: "adamw" (fused on GPUs), or bitsandbytes' with states in 8 bit, in pages that can leave the GPU, or both.
    lr, weight_decay: of the language model or its adapters; merger and vision_tower may have their own.
    nonfinite: what to do about a gradient with NaN or infinity in it, "stop" or "skip" the update.
    """

    name: OptimizerName = "adamw"
    lr: float = 1e-6
    weight_decay: float = 0.0
    merger: PartSettings = field(default_factory=PartSettings)
    vision_tower: PartSettings = field(default_factory=PartSettings)
    betas: tuple[float, float] = (0.9, 0.999)
    warmup_steps: int = 0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    nonfinite: Literal["stop", "skip"] = "stop"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"optimizer.lr must be a positive number, not {self.lr}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"optimizer.weight_decay must not be negative, not {self.weight_decay}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"optimizer.betas must lie in [0, 1), not {self.betas}")
        if self.warmup_steps < 0:
            raise ValueError(f"optimizer.warmup_steps must not be negative, not {self.warmup_steps}")

    def factor(self, step: int, num_steps: int) -> float:
        """The share of ``lr`` in force at a step, 0 <= step < num_steps.

        >>> [OptimizerSettings(warmup_steps=2, schedule="linear").factor(s, 6) for s in range(6)]
        [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
        """
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if self.schedule == "constant":
            return 1.0
        progress = min(1.0, (step - self.warmup_steps) / max(1, num_steps - self.warmup_steps))
        return 1.0 - progress if self.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))
