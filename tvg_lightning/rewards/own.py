"""Rewards of your own, named by their import paths: functions outside of this package."""

import math
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import cast

from tvg_lightning.schema import Answer, Sample, Task

# the completion's text, the task it is for, what was read in it (its format, span, anchors), and the sample
RewardFunction = Callable[[str, Task, Answer, Sample], float]


def name_of(path: str) -> str:
    """The name of a reward in the logs, by its import path.

    >>> name_of("my_package.rewards.brevity")
    'brevity'
    """
    return path.rpartition(".")[2]


@cache
def load_reward(path: str) -> RewardFunction:
    """The function under an import path such as ``my_package.rewards.brevity``; ValueError where there is none."""
    module, name = path.rpartition(".")[0], name_of(path)
    try:
        function = getattr(import_module(module), name, None)
    except (ImportError, ValueError) as error:  # ValueError: no module in the path
        raise ValueError(
            f"reward.own.{path} cannot be imported ({error}): give my_package.my_module.function"
        ) from error
    if not callable(function):
        raise ValueError(f"reward.own.{path}: the module {module} has no function {name}")
    return cast(RewardFunction, function)


def own_reward(path: str, text: str, task: Task, answer: Answer, sample: Sample) -> float:
    """The value of a reward of your own; ValueError unless it is a finite number."""
    value = load_reward(path)(text, task, answer, sample)
    if isinstance(value, bool | int | float) and math.isfinite(value):
        return float(value)
    raise ValueError(f"reward.own.{path} gave {value!r} for sample {sample.sample_id!r}: a finite number is needed")
