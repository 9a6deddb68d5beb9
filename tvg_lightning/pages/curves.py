"""Curves of a run as SVG: what a template needs to draw one, in its own coordinates. Pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tvg_lightning.pages.pieces import Json

WIDTH, HEIGHT = 360, 150  # of the area in which curves are drawn
MAX_POINTS = 60  # of a line; more are noise, as a step samples few completions of some tasks

Points = Sequence[tuple[float, float]]  # step and value, steps rising
Steps = tuple[float, float]  # from the first of them to the one behind the last


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart; ``run`` 0 is drawn whole, 1 (of a second run) dashed.

    ``silent``: steps in which nothing was sampled, as those of SFT. The line has a gap there, unless it has values.
    """

    name: str
    points: Points
    run: int = 0
    silent: Sequence[Steps] = ()


def binned(points: Points, width: float) -> list[tuple[float, float]]:
    """Means over stretches of ``width`` steps, so that no peak is drawn that stands alone; 1 leaves single steps.

    >>> binned([(0, 1.0), (1, 3.0), (2, 5.0), (3, 7.0), (9, 8.0)], width=2)
    [(0.5, 2.0), (2.5, 6.0), (9.0, 8.0)]
    """
    stretches: dict[int, list[tuple[float, float]]] = {}
    for point in points:
        stretches.setdefault(int(point[0] // width), []).append(point)
    return [(sum(x for x, _ in s) / len(s), sum(y for _, y in s) / len(s)) for s in stretches.values()]


def number_text(value: float) -> str:
    """A number of at most six signs or so, without an exponent where it is large.

    >>> number_text(0.12345), number_text(-2.0), number_text(5643.2)
    ('0.123', '-2', '5,643')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def pieces(points: Points, silent: Sequence[Steps]) -> list[list[tuple[float, float]]]:
    """The points in pieces: a new one begins behind silent steps that lie wholly between two neighbours.

    >>> pieces([(0, 1.0), (9, 2.0), (30, 3.0)], [(10, 30)])
    [[(0, 1.0), (9, 2.0)], [(30, 3.0)]]
    """
    found: list[list[tuple[float, float]]] = []
    for point in points:
        if found and not any(found[-1][-1][0] <= start and end <= point[0] for start, end in silent):
            found[-1].append(point)
        else:
            found.append([point])
    return found


def chart(title: str, curves: Sequence[Curve], stages: Mapping[str, Steps], top: float | None = None) -> Json:
    """Paths, bands of the stages and the ends of both axes; ``top``: the upper end where it is known, 1 of an IoU."""
    steps = [x for curve in curves for x, _ in curve.points]
    width = max(1.0, (max(steps, default=0) - min(steps, default=0)) / MAX_POINTS)
    drawn = [(c, [binned(piece, width) for piece in pieces(c.points, c.silent)]) for c in curves if c.points]
    xs = [x for _, whole in drawn for piece in whole for x, _ in piece] + [x for ends in stages.values() for x in ends]
    ys = [y for _, whole in drawn for piece in whole for _, y in piece]
    left, right = min(xs, default=0.0), max(xs, default=1.0)
    low, high = min(0.0, *ys, 0.0), max(*ys, 0.0, 0.0) if top is None else top
    right, high = right if right > left else left + 1, high if high > low else low + 1

    def x_of(step: float) -> float:
        return round((step - left) / (right - left) * WIDTH, 1)

    def y_of(value: float) -> float:
        return round(HEIGHT - (value - low) / (high - low) * HEIGHT, 1)

    names = list(dict.fromkeys(curve.name for curve, _ in drawn))
    lines = []
    for curve, whole in drawn:
        # a piece of a single point is a line to itself, which round ends make a dot
        paths = (
            " L".join(f"{x_of(x)} {y_of(y)}" for x, y in (piece * 2 if len(piece) == 1 else piece)) for piece in whole
        )
        path = " ".join(f"M{of_piece}" for of_piece in paths)
        last, number = whole[-1][-1][1], names.index(curve.name)
        lines.append({"name": curve.name, "path": path, "last": number_text(last), "number": number, "run": curve.run})
    bands = [{"name": n, "x": x_of(a), "width": round(x_of(b) - x_of(a), 1)} for n, (a, b) in stages.items()]
    return {
        "title": title, "lines": lines, "bands": bands, "low": number_text(low), "high": number_text(high),
        "left": f"{left:g}", "right": f"{right:g}", "width": WIDTH, "height": HEIGHT,
    }  # fmt: skip
