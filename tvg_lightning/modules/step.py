"""The context of a training step in its run, and the result of the step."""

import hashlib
from dataclasses import dataclass, field
from random import Random

import torch
from torch import Tensor

from tvg_lightning.data.items import Item
from tvg_lightning.traces import Trace


@dataclass(frozen=True, slots=True)
class StepContext:
    """The position of a step in the run; completions are drawn by ``seed``, ``stage`` and the items' positions."""

    seed: int = 0
    stage: str = "train"
    step: int = 0  # batches of the run before this one
    epoch: int = 0
    world_size: int = 1
    epoch_of_stage: int = 0  # a stage of a staged run is one epoch

    def uniforms(self, positions: list[int], num_generations: int, length: int) -> Tensor:
        """One number in [0, 1) for every token that may be sampled, (B * G, length), float64.

        They follow from (seed, stage, position in the stage), so a prompt's completions do not depend on the
        batch or the process in which it is sampled, and a resumed run samples the same.
        """
        rows = []
        for position in positions:
            digest = hashlib.sha256(f"{self.seed} {self.stage} {position}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
            rows.append(torch.rand(num_generations, length, generator=generator, dtype=torch.float64))
        return torch.cat(rows)

    def shuffle(self, position: int, number: int) -> Random:
        """The numbers by which frames are shuffled for completion ``number`` of a prompt; as ``uniforms``, no others.

        >>> StepContext(seed=1).shuffle(7, 0).random() == StepContext(seed=1, step=5).shuffle(7, 0).random()
        True
        """
        return Random(f"{self.seed} {self.stage} {position} {number}")

    def captions(self, position: int, number: int) -> Random:
        """The numbers by which captions are chosen to begin completion ``number`` of a prompt; as ``shuffle``."""
        return Random(f"captions {self.seed} {self.stage} {position} {number}")


@dataclass(frozen=True, slots=True)
class StepResult:
    """The loss to minimise, the metrics to log, a trace of every completion just sampled, and its items.

    flops: what the step needs at least, backward pass included; num_tokens: completion tokens learned from;
    fault: why the run must end, once what the step sampled is kept.
    """

    loss: Tensor
    metrics: dict[str, float]
    traces: list[Trace] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    flops: float = 0.0
    num_tokens: int = 0
    fault: str | None = None
