"""A picture of a data set: how long videos and windows are, and where in their videos the windows lie."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from tvg_lightning.data.annotations.describe import durations_s
from tvg_lightning.schema import Sample

COLOUR, INK, QUIET_INK = "#2b6cb0", "#1a1a1a", "#6b6b6b"
NUM_BARS, NUM_CELLS = 50, 40


def draw(samples: Sequence[Sample], title: str) -> Figure:
    """Histograms of durations, window lengths in seconds and as shares, and the density of start against end.

    The last is the field's usual picture: a window is a point at (start, end) / duration, all of them above the
    diagonal; a model that never looks at the video can guess the dark cells.
    """
    windows = [(window, sample.duration_s) for sample in samples for window in sample.windows or ()]
    starts = np.array([window.start_s / duration_s for window, duration_s in windows])
    ends = np.array([window.end_s / duration_s for window, duration_s in windows])
    lengths_s = np.array([window.end_s - window.start_s for window, _ in windows])
    videos_s = np.array(durations_s(samples))
    figure = Figure(figsize=(11, 7.6), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13, fontweight="bold", color=INK, parse_math=False)
    axes = figure.subplots(2, 2)
    _histogram(axes[0, 0], videos_s, f"Videos ({len(videos_s)})", "seconds")
    _histogram(axes[0, 1], lengths_s, f"Windows ({len(lengths_s)})", "seconds")
    _histogram(axes[1, 0], ends - starts, "Windows as shares of their videos", "window / video", (0.0, 1.0))
    _density(axes[1, 1], starts, ends)
    return figure


def _histogram(
    axes: Axes, values: np.ndarray, title: str, label: str, limits: tuple[float, float] | None = None
) -> None:
    """Bars of equal width up to the 99.5th percentile; what lies beyond is counted in words, not squeezed in."""
    _dress(axes, title, label, "number")
    if not len(values):
        _say_none(axes)
        return
    low, high = limits or (0.0, float(np.quantile(values, 0.995)) * 1.04)
    axes.hist(values, bins=NUM_BARS, range=(low, high), color=COLOUR)
    axes.set_xlim(low, high)
    median = float(np.median(values))
    axes.axvline(median, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    beyond = int((values > high).sum())
    said = f"median {median:.3g}" + (f"; {beyond} more up to {values.max():.0f}" if beyond else "")
    axes.set_title(said, fontsize=9, loc="right", color=QUIET_INK)


def _density(axes: Axes, starts: np.ndarray, ends: np.ndarray) -> None:
    _dress(axes, "Where the windows lie", "start / video", "end / video")
    axes.set(xlim=(0.0, 1.0), ylim=(0.0, 1.0), aspect="equal")
    if not len(starts):
        _say_none(axes)
        return
    axes.plot([0.0, 1.0], [0.0, 1.0], color=QUIET_INK, linewidth=0.8)
    cells, edges, _ = np.histogram2d(starts, ends, bins=NUM_CELLS, range=((0.0, 1.0), (0.0, 1.0)))
    shown = np.ma.masked_equal(cells.T, 0)
    mesh = axes.pcolormesh(edges, edges, shown, cmap="Blues", norm=LogNorm(vmin=0.5, vmax=max(2.0, cells.max())))
    bar = axes.figure.colorbar(mesh, ax=axes, label="windows a cell")
    bar.outline.set_visible(False)


def _dress(axes: Axes, title: str, x_label: str, y_label: str) -> None:
    axes.set_title(title, fontsize=11, loc="left", color=INK)
    axes.set_xlabel(x_label, fontsize=9, color=QUIET_INK)
    axes.set_ylabel(y_label, fontsize=9, color=QUIET_INK)
    axes.tick_params(labelsize=9, colors=QUIET_INK)
    axes.spines[["top", "right"]].set_visible(False)


def _say_none(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.text(0.5, 0.5, "none known", transform=axes.transAxes, ha="center", color=QUIET_INK)
