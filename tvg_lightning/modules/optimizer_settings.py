"""Settings of the optimizer and of its schedule."""

import math
from dataclasses import asdict, dataclass, field
from typing import Literal

OptimizerName = Literal["adamw", "adamw_8bit", "paged_adamw", "paged_adamw_8bit"]


@dataclass(frozen=True)
class PartSettings:
    """Settings of the optimizer for one part of the policy.

    Args:
        lr: the part's learning rate (default: that of the language model).
        weight_decay: the part's weight decay (default: that of the language model).
    """

    lr: float | None = None
    weight_decay: float | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"optimizer: {name} of a part must not be negative, not {value}")


@dataclass(frozen=True)
class OptimizerSettings:
    """AdamW and its schedule: linear warm-up, then constant, or down to 0 at the stage's last step.

    Args:
        name: adamw (fused on GPUs), or bitsandbytes' with states in 8 bit (adamw_8bit), in pages that can leave the GPU
            (paged_adamw), or both.
        lr: learning rate of the language model or its adapters.
        weight_decay: weight decay of the same weights.
        merger: learning rate and weight decay of the merger, where policy.train_merger trains it.
        vision_tower: learning rate and weight decay of the vision tower, where policy.train_vision_tower trains it.
        betas: AdamW's two decay rates of its running means, of the gradient and of its square.
        warmup_steps: updates in which the learning rate rises from 0 to lr.
        schedule: the learning rate after the warm-up: constant, or linear or cosine down to 0.
        nonfinite: at a gradient with NaN or infinity in it, stop the run or skip the update.
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
