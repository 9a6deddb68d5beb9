"""The charts of one run or two: what was counted from traces, and what the runs have logged beside."""

import math
from collections.abc import Callable, Sequence

from tvg_lightning.diagnosis.logged import Metrics
from tvg_lightning.pages.curves import Curve, Steps, chart
from tvg_lightning.pages.pieces import Json
from tvg_lightning.pages.tallies import Tallies

UP_TO_ONE = frozenset({"IoU", "refining", "groups of equal rewards", "format", "mixture drawn", "mIoU of validation"})
COUNTED = ("reward", "reward parts", "IoU", "refining", "groups of equal rewards", "format", "length", "mixture drawn")
LOGGED: dict[str, Callable[[str], bool]] = {
    "loss": lambda name: name == "train/loss",
    "mIoU of validation": lambda name: name.endswith("/mIoU") and not name.startswith("summary/"),
    "tokens a second": lambda name: name == "speed/tokens_per_s",
    "seconds a step": lambda name: name == "speed/step_s",
    "memory, GiB": lambda name: name.startswith("memory/"),
}
_SELDOM = frozenset({"mIoU of validation"})  # not at every step, so that its lines have no gaps


def charts_of(found: Sequence[Tallies], logged: Sequence[Metrics], stages: Sequence[str]) -> list[Json]:
    """All charts that have a line, of one run or two; the bands are the first one's, ``stages`` the names of all."""
    bands = found[0].bands(stages)
    charts = []
    for title in COUNTED:
        curves = [curve for number, one in enumerate(found) for curve in one.curves(title, number)]
        charts.append(chart(title, curves, bands, 1.0 if title in UP_TO_ONE else None))
    for title, belongs in LOGGED.items():
        curves = [
            _curve(_short(name), values, number, silent)
            for number, (metrics, tallies) in enumerate(zip(logged, found, strict=True))
            for silent in [[] if title in _SELDOM else tallies.silent]
            for name, values in metrics.items()
            if belongs(name)
        ]
        charts.append(chart(title, curves, bands, 1.0 if title in UP_TO_ONE else None))
    return [one for one in charts if one["lines"]]


def _curve(name: str, values: Sequence[tuple[int, float]], run: int, silent: Sequence[Steps]) -> Curve:
    """A line through the finite values; how many are not its name says."""
    points = [(float(step), value) for step, value in values if math.isfinite(value)]
    num_lost = len(values) - len(points)
    return Curve(f"{name} ({num_lost:,} not finite)" if num_lost else name, points, run, silent)


def _short(name: str) -> str:
    """The name of a line: of a split's metric the split, of all others what stands behind the slash.

    >>> _short("held_out/mIoU"), _short("memory/loss_gib")
    ('held_out', 'loss_gib')
    """
    return name.removesuffix("/mIoU") if name.endswith("/mIoU") else name.rpartition("/")[2]
