"""Durations of the steps of a transformers Trainer."""

import time
from typing import Any

from transformers import TrainerCallback


class Stopwatch(TrainerCallback):
    """Seconds from the start of a step to its end: sampling, loss, update."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.processor_s: list[float] = []
        self.start_s = self.start_processor_s = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.start_s, self.start_processor_s = time.perf_counter(), time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds.append(time.perf_counter() - self.start_s)
        self.processor_s.append(time.process_time() - self.start_processor_s)
