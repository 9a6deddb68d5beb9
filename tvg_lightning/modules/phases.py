"""Time and memory of a training step, phase by phase."""

import time

import torch

from tvg_lightning.policy.memory import peak_gib, start_peak


class Phases:
    """A clock that is in one phase at a time; entering one ends the one before."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.peak_gib: dict[str, float] = {}
        self._name: str | None = None
        self._began_s = 0.0
        self._device = torch.device("cpu")

    def start(self, device: torch.device) -> None:
        """Begin a new step, in no phase yet."""
        self.seconds, self.peak_gib, self._name, self._device = {}, {}, None, device

    def enter(self, name: str) -> None:
        """Begin another phase; a phase that comes again adds to itself."""
        self.end()
        start_peak(self._device)
        self._name, self._began_s = name, time.perf_counter()

    def end(self) -> None:
        """End the phase that runs."""
        if self._name is None:
            return
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # what was asked of the GPU belongs to the phase that asked
        self.seconds[self._name] = self.seconds.get(self._name, 0.0) + time.perf_counter() - self._began_s
        peak = peak_gib(self._device)
        if peak is not None:
            self.peak_gib[self._name] = max(self.peak_gib.get(self._name, 0.0), peak)
        self._name = None
