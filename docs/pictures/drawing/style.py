"""One look for all drawn pictures: SVG that follows the reader's light or dark scheme."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Every colour of a picture: its name in the style sheet, as drawn, and in the dark scheme.
COLOURS = {
    "ink": ("#22272e", "#e3e6ea"),
    "soft": ("#767d86", "#9aa1aa"),
    "line": ("#d5d8dc", "#444b54"),
    "fill": ("#eef0f2", "#2b3036"),
    "blue": ("#2c6fbb", "#6aa9ee"),
    "green": ("#2a9459", "#4fc184"),
    "red": ("#b2544c", "#e58a80"),
    "amber": ("#b9822b", "#e0b35f"),
    "violet": ("#7a5bb5", "#b196e8"),
    "pale": ("#cfe0f3", "#25405c"),
    "rose": ("#d9b3ae", "#80504b"),
    "paper": ("#fefefe", "#14171b"),  # words on a full colour
}
INK, SOFT, LINE, FILL, BLUE, GREEN, RED, AMBER, VIOLET, PALE, ROSE, PAPER = (light for light, _ in COLOURS.values())
_SETTINGS = {
    "svg.hashsalt": "tvg-lightning",  # the same picture has the same bytes
    "font.size": 11.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
}


@contextmanager
def styled() -> Iterator[None]:
    with matplotlib.rc_context(_SETTINGS):
        yield


def plots(columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A picture of so many plots in a row, sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = [figure.add_subplot(1, columns, number + 1) for number in range(columns)]
    return figure, axes


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """A picture to draw boxes on: 10 units an inch, the origin at the top left."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 10 * width), ylim=(10 * height, 0))
    axes.axis("off")
    return figure, axes


def box(
    axes: Axes, x: float, y: float, width: float, height: float, text: str = "", colour: str = FILL, ink: str = INK,
    size: float = 10.0, bold: bool = False,
) -> None:  # fmt: skip
    """A rectangle with words in its middle."""
    axes.add_patch(matplotlib.patches.Rectangle((x, y), width, height, facecolor=colour, edgecolor="none"))
    weight = "bold" if bold else "normal"
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", color=ink, size=size, weight=weight)


def words(axes: Axes, x: float, y: float, text: str, colour: str = INK, size: float = 10.0, at: str = "left") -> None:
    axes.text(x, y, text, ha=at, va="center", color=colour, size=size)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = SOFT) -> None:
    axes.annotate(
        "", end, start, arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.4, "shrinkA": 0, "shrinkB": 0}
    )


def svg_of(figure: Figure) -> str:
    """The picture's text, its colours as variables of a style sheet with two schemes."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return with_schemes(re.sub(r"<metadata>.*?</metadata>\s*", "", stream.getvalue(), flags=re.DOTALL))


def with_schemes(svg: str) -> str:
    for name, (light, _) in COLOURS.items():
        svg = svg.replace(light, f"var(--{name})")
    light, dark = (" ".join(f"--{name}: {both[n]};" for name, both in COLOURS.items()) for n in (0, 1))
    sheet = f"<style>:root {{ {light} }} @media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}</style>"
    return re.sub(r"(<svg\b[^>]*>)", rf"\1\n {sheet}", svg, count=1, flags=re.DOTALL)
