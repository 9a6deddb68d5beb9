"""Rewards of your own, named by their import paths: functions outside of this package."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from traceback import extract_tb
from types import TracebackType
from typing import Self, cast

from tvg_lightning.schema import Answer, Sample, Task

# the completion's text, the task it is for, what was read in it (its format, span, anchors), and the sample
RewardFunction = Callable[[str, Task, Answer, Sample], float]
_TAKES = "(text, task, answer, sample)"


@dataclass(frozen=True)
class ExtraReward:
    """A reward of your own.

    ValueError where its function cannot be imported or called, or the weight is none.

    Args:
        function: import path of the function (my_package.my_module.function); its last part is the reward's name in
            logs, traces and pictures.
        weight: factor of what the function gives; 0 leaves it out.
    """

    function: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        load_reward(self.function)
        if not (math.isfinite(self.weight) and self.weight >= 0.0):
            raise ValueError(
                f"reward.extra: {self.function}: weight is {self.weight}: give a finite weight of 0 or more "
                "(0 leaves it out)"
            )

    @property
    def name(self) -> str:
        """The name in the logs.

        >>> ExtraReward("os.path.join").name
        'join'
        """
        return self.function.rpartition(".")[2]


@cache
def load_reward(path: str) -> RewardFunction:
    """The function under an import path such as ``my_package.rewards.brevity``.

    ValueError where there is none, or where it cannot be called with the four things that a reward is given.
    """
    module, _, name = path.rpartition(".")
    try:
        function = getattr(import_module(module), name, None)
    except (ImportError, SyntaxError, ValueError) as error:  # ValueError: no module in the path
        raise ValueError(
            f"reward.extra: {path} cannot be imported ({error}): give my_package.my_module.function"
        ) from error
    if not callable(function):
        raise ValueError(f"reward.extra: {path}: the module {module} has no function {name}")
    try:
        inspect.signature(function).bind(*"1234")
    except (TypeError, ValueError) as error:  # ValueError: some functions of C do not say what they take
        raise ValueError(
            f"reward.extra: {path} cannot be called as {name}{_TAKES} ({error}): take these four"
        ) from error
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise ValueError(f"reward.extra: {path} gives no number at once: write it as a plain function")
    return cast(RewardFunction, function)


def extra_reward(path: str, text: str, task: Task, answer: Answer, sample: Sample) -> float:
    """The value of a reward of your own; ValueError unless it is a finite number, and for whatever it raises."""
    with _Named(path, sample):
        value = load_reward(path)(text, task, answer, sample)
    if isinstance(value, bool | int | float) and math.isfinite(value):
        return float(value)
    raise ValueError(f"reward.extra: {path} gave {value!r} for sample {sample.sample_id!r}: a finite number is needed")


class _Named:
    """Turns an error of a function that is not ours into one that names the function, its line and the sample."""

    def __init__(self, path: str, sample: Sample) -> None:
        self.path, self.sample = path, sample

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):  # not Ctrl-C
            at = extract_tb(traceback)[-1]
            raise ValueError(
                f"reward.extra: {self.path} failed for sample {self.sample.sample_id!r}: {type(error).__name__}: "
                f"{error} ({at.filename}:{at.lineno})"
            ) from error
