"""Pictures of what a policy saw, thought and answered: pure functions from data to a matplotlib figure.

The object interface and the Agg canvas only: no window, no global figure list, safe in any process.
Sizes are inches from the top of the figure, so that rows and text keep their size however many there are.
"""

import math
import textwrap
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from tvg_lightning import spans
from tvg_lightning.answer_marks import answer_marks, marked_lines
from tvg_lightning.schema import Answer, Span
from tvg_lightning.span_sets import answer_iou

Frames = NDArray[np.uint8]  # (T, H, W, 3)

WIDTH_IN = 11.0
LEFT_IN, RIGHT_IN = 1.05, 0.85  # room for the names of the rows, and for the IoUs
AXES_WIDTH_IN = WIDTH_IN - LEFT_IN - RIGHT_IN
MARGIN_IN, GAP_IN = 0.16, 0.12
ROW_IN, TITLE_LINE_IN, TEXT_LINE_IN, AXIS_IN, FRAME_LABEL_IN = 0.34, 0.27, 0.185, 0.5, 0.24
MAX_STRIP_IN, HEAD_ROWS, BAR_HEIGHT = 2.2, 0.7, 0.62  # the last two in rows
DIGIT_IN, SIGN_IN = 0.08, 0.05  # widths of the numbers at a bar, a little generous
NUM_FRAMES, MAX_ANCHOR_ROWS, MAX_TITLE_LINES, MAX_TEXT_LINES = 8, 6, 3, 16
TITLE_CHARS, TEXT_CHARS = 76, 130  # a title in capitals still fits
MAX_NAME_CHARS, NAME_CHAR_IN = 24, 0.12  # of a stage; the width of a capital, a little generous

TRUTH_COLOUR, ANSWER_COLOUR = "#2e9e4f", "#2b6cb0"
FIRST_ANCHOR_COLOUR, LAST_ANCHOR_COLOUR = (0.99, 0.76, 0.45), (0.85, 0.37, 0.05)  # paler is earlier
INK, QUIET_INK, TRACK = "#1a1a1a", "#6b6b6b", "#f0f0f0"
SANS, MONO = "DejaVu Sans", "DejaVu Sans Mono"  # both ship with matplotlib


def draw_timeline(
    frames: Frames | None,
    duration_s: float,
    windows: Sequence[Span] | None,
    answer: Answer,
    title: str,
    text: str,
    times_s: Sequence[float] | None = None,
) -> Figure:
    """One completion on its video: film strip, truth, anchors and answer over one time axis, the text below.

    ``frames`` is (T, H, W, 3) uint8 or None for no strip; ``times_s`` are their T true times, without them
    the frames are taken as spread evenly and their times are marked with a tilde. IoUs at the right are
    against the true window of highest IoU, or the set IoU of an answer that is a set; a dash where the truth is
    unknown (``windows`` None). Anchors after the sixth are counted, not drawn. In the text, the times of anchors and
    answer lie on the colours of their bars.
    """
    _check(frames, times_s, duration_s)
    title_lines = _wrap(title, TITLE_CHARS, MAX_TITLE_LINES, SANS) or [""]
    text_lines, marks = _text(text, answer)
    rows = _rows(windows, answer)
    strip_in = 0.0 if frames is None else _strip_height(frames) + FRAME_LABEL_IN + GAP_IN
    title_in = TITLE_LINE_IN * len(title_lines) + GAP_IN
    text_in = TEXT_LINE_IN * len(text_lines) + 2 * GAP_IN if text_lines else 0.0
    height_in = 2 * MARGIN_IN + title_in + strip_in + ROW_IN * (len(rows) + HEAD_ROWS) + AXIS_IN + text_in
    page = _Page(height_in)
    page.write(title_lines, MARGIN_IN, TITLE_LINE_IN, fontsize=13, fontweight="bold", family=SANS)
    top_in = MARGIN_IN + title_in
    if frames is not None:
        _draw_strip(page, top_in, frames, duration_s, times_s)
        top_in += strip_in
    axes = page.axes(LEFT_IN, top_in, AXES_WIDTH_IN, ROW_IN * (len(rows) + HEAD_ROWS))
    _draw_rows(axes, rows, windows or (), duration_s)
    if text_lines:
        top_in += ROW_IN * (len(rows) + HEAD_ROWS) + AXIS_IN
        page.box(MARGIN_IN, top_in, WIDTH_IN - 2 * MARGIN_IN, text_in)
        page.write(text_lines, top_in + GAP_IN, TEXT_LINE_IN, left_in=MARGIN_IN + GAP_IN, fontsize=9, family=MONO)
        page.mark(marks, top_in + GAP_IN, TEXT_LINE_IN, MARGIN_IN + GAP_IN)
    return page.figure


def draw_refinement(
    stages: Sequence[str],
    anchor_ious: Sequence[Sequence[float | None]],
    answer_ious: Sequence[float | None],
    title: str = "Mean IoU of the anchors and the answer",
) -> Figure:
    """Mean IoU of each anchor and of the answer, from stage to stage.

    ``anchor_ious[k]`` belongs to anchor k + 1 and has one number a stage, None (or NaN) where no completion
    had that anchor; the curve then has a hole. The last number of a curve stands in the legend.
    """
    for name, values in (
        ("answer_ious", answer_ious),
        *((f"anchor_ious[{k}]", v) for k, v in enumerate(anchor_ious)),
    ):
        if len(values) != len(stages):
            raise ValueError(f"{name}: {len(values)} numbers for {len(stages)} stages; give one a stage")
    page = _Page(4.2)
    page.write(
        _wrap(title, TITLE_CHARS, 1, SANS),
        MARGIN_IN,
        TITLE_LINE_IN,
        fontsize=13,
        fontweight="bold",
        family=SANS,
    )
    width_in = WIDTH_IN - 0.75 - 2.3
    axes = page.axes(0.75, 0.65, width_in, 4.2 - 0.65 - 0.65)
    curves: list[tuple[str, Any, Sequence[float | None]]] = [
        (f"anchor {k + 1}", _anchor_colour(k, len(anchor_ious)), values) for k, values in enumerate(anchor_ious)
    ]
    curves.append(("answer", ANSWER_COLOUR, answer_ious))
    for name, colour, values in curves:
        heights = [math.nan if value is None else value for value in values]
        known = [height for height in heights if not math.isnan(height)]
        label = f"{name}  {known[-1]:.3f}" if known else f"{name}  –"
        axes.plot(range(len(stages)), heights, color=colour, linewidth=2.2, marker="o", markersize=3.5, label=label)
    axes.set_ylim(0.0, 1.0)
    axes.set_ylabel("mean IoU", fontsize=10, color=QUIET_INK)
    _name_stages(axes, stages, width_in)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.tick_params(labelsize=9, colors=QUIET_INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.02, 1.0),
        frameon=False,
        fontsize=10,
        title="last value",
        reverse=True,
    )
    return page.figure


def _name_stages(axes: Axes, stages: Sequence[str], width_in: float) -> None:
    """The names below the points, every other one or fewer where they would touch."""
    drawable = [_drawable(name, SANS) for name in stages]
    names = [name if len(name) <= MAX_NAME_CHARS else f"{name[: MAX_NAME_CHARS - 1]}…" for name in drawable]
    axes.set_xlim(-0.5, max(1, len(names)) - 0.5)
    needed_in = max((len(name) for name in names), default=0) * NAME_CHAR_IN
    every = max(1, math.ceil(needed_in * len(names) / width_in))
    axes.set_xticks(range(0, len(names), every), names[::every])
    axes.set_xlabel("stage", fontsize=10, color=QUIET_INK)


def figure_to_image(figure: Figure) -> NDArray[np.uint8]:
    """The figure as it would be saved: (H, W, 3) uint8, for a logger's image panel."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    rgba = np.asarray(canvas.buffer_rgba(), dtype=np.uint8)
    return rgba[..., :3].copy()


class _Page:
    """A white figure on which things are placed in inches from the top left corner."""

    def __init__(self, height_in: float) -> None:
        self.height_in = height_in
        self.figure = Figure(figsize=(WIDTH_IN, height_in), dpi=100, facecolor="white")
        FigureCanvasAgg(self.figure)

    def axes(self, left_in: float, top_in: float, width_in: float, height_in: float) -> Axes:
        bottom = 1.0 - (top_in + height_in) / self.height_in
        return self.figure.add_axes((left_in / WIDTH_IN, bottom, width_in / WIDTH_IN, height_in / self.height_in))

    def write(
        self,
        lines: Sequence[str],
        top_in: float,
        line_in: float,
        left_in: float = MARGIN_IN,
        ha: str = "left",
        **style: Any,
    ) -> None:
        """One text object a line: line spacing is then ours, and a dollar sign is a dollar sign."""
        for number, line in enumerate(lines):
            x, y = left_in / WIDTH_IN, 1.0 - (top_in + (number + 0.5) * line_in) / self.height_in
            self.figure.text(x, y, line, color=INK, va="center_baseline", ha=ha, parse_math=False, **style)

    def mark(self, marks: Sequence[tuple[int, int, int, Any]], top_in: float, line_in: float, left_in: float) -> None:
        """Colours behind parts of lines that ``write`` has written in MONO: line, first and last column, colour."""
        char_in = _mono_char_in(9.0, self.figure.dpi)
        for line, first, last, colour in marks:
            left, width = left_in + first * char_in, (last - first) * char_in
            for height_in, below_in, alpha in ((line_in - 0.02, 0.01, 0.4), (0.025, line_in - 0.025, 1.0)):
                bottom_in = self.height_in - top_in - line * line_in - below_in - height_in
                corner = (left / WIDTH_IN, bottom_in / self.height_in)
                size = (width / WIDTH_IN, height_in / self.height_in)
                box = Rectangle(corner, *size, facecolor=colour, alpha=alpha, linewidth=0, zorder=0)
                box.set_transform(self.figure.transFigure)
                self.figure.add_artist(box)

    def box(self, left_in: float, top_in: float, width_in: float, height_in: float) -> None:
        axes = self.axes(left_in, top_in, width_in, height_in)
        axes.set(xticks=[], yticks=[], facecolor="#f7f7f5", zorder=-1)
        axes.spines[:].set_color("#e2e2de")


def _check(frames: Frames | None, times_s: Sequence[float] | None, duration_s: float) -> None:
    if not (math.isfinite(duration_s) and duration_s > 0):
        raise ValueError(f"duration_s: expected seconds above 0, got {duration_s}")
    if frames is None:
        return
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise ValueError(f"frames: expected uint8 (T, H, W, 3), got {frames.dtype} {frames.shape}")
    if times_s is not None and len(times_s) != len(frames):
        raise ValueError(f"times_s: {len(times_s)} times for {len(frames)} frames; give one a frame")


class _Row(NamedTuple):
    name: str
    colour: Any
    spans: Sequence[Span]
    iou: str = ""  # as it stands at the right
    note: str = ""  # instead of spans


def _rows(windows: Sequence[Span] | None, answer: Answer) -> list[_Row]:
    """Truth, anchors and answer, top to bottom, with their IoUs."""

    def iou_of(span: Span) -> str:
        return "–" if windows is None else f"{spans.iou_to_windows(span, windows):.2f}"

    shown = answer.anchors[:MAX_ANCHOR_ROWS]
    truth_note = "unknown" if windows is None else "" if windows else "not in the video"
    rows = [_Row("truth", TRUTH_COLOUR, windows or (), note=truth_note)]
    rows += [
        _Row(f"anchor {k + 1}", _anchor_colour(k, len(shown)), [anchor], iou_of(anchor))
        for k, anchor in enumerate(shown)
    ]
    if len(answer.anchors) > len(shown):
        rows.append(_Row("…", QUIET_INK, (), note=f"{len(answer.anchors) - len(shown)} more anchors"))
    note = "none" if answer.spans is None else "" if answer.spans else "not in the video"
    iou = "–" if windows is None else f"{answer_iou(answer, windows):.2f}"
    rows.append(_Row("answer", ANSWER_COLOUR, answer.spans or (), iou, note))
    return rows


def _anchor_colour(k: int, num_anchors: int) -> tuple[float, ...]:
    share = 1.0 if num_anchors < 2 else k / (num_anchors - 1)
    return tuple(a + share * (b - a) for a, b in zip(FIRST_ANCHOR_COLOUR, LAST_ANCHOR_COLOUR, strict=True))


def _strip_height(frames: Frames) -> float:
    cell_in = AXES_WIDTH_IN / min(NUM_FRAMES, len(frames))
    return min(cell_in * float(frames.shape[1] / frames.shape[2]), MAX_STRIP_IN)


def _draw_strip(page: _Page, top_in: float, frames: Frames, duration_s: float, times_s: Sequence[float] | None) -> None:
    """Up to eight frames in equal cells over the time axis, each with its time below."""
    num_shown = min(NUM_FRAMES, len(frames))
    step = len(frames) / num_shown
    height_in, cell_in = _strip_height(frames), AXES_WIDTH_IN / num_shown
    for cell in range(num_shown):
        index = int((cell + 0.5) * step)  # the middle frame of each equal stretch
        axes = page.axes(LEFT_IN + cell * cell_in + 0.02, top_in, cell_in - 0.04, height_in)
        axes.imshow(frames[index], aspect="equal", interpolation="antialiased")
        axes.set_axis_off()
        even_s = (index + 0.5) * duration_s / len(frames)
        label = f"~{even_s:.1f} s" if times_s is None else f"{times_s[index]:.1f} s"
        middle_in = LEFT_IN + (cell + 0.5) * cell_in
        page.write([label], top_in + height_in, FRAME_LABEL_IN, middle_in, "center", fontsize=8, family=SANS)


def _draw_rows(axes: Axes, rows: Sequence[_Row], windows: Sequence[Span], duration_s: float) -> None:
    axes.set_xlim(0.0, duration_s)
    axes.set_ylim(len(rows) - 0.5, -0.5 - HEAD_ROWS)  # the head of the IoU column stands above the first row
    axes.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=10)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.tick_params(axis="x", labelsize=9, colors=QUIET_INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, steps=[1, 2, 5, 10]))
    axes.set_xlabel("seconds", fontsize=9, color=QUIET_INK, labelpad=2)
    axes.spines[["top", "left", "right"]].set_visible(False)
    right = axes.get_yaxis_transform()
    axes.text(1.03, -0.5 - HEAD_ROWS / 2, "IoU", transform=right, fontsize=9, color=QUIET_INK, va="center")
    for window in windows:  # the shade lies below the bars, the edges above: each bar is seen against the truth
        left_s, right_s = _within(window.start_s, duration_s), _within(window.end_s, duration_s)
        axes.axvspan(left_s, right_s, color=TRUTH_COLOUR, alpha=0.12, lw=0, zorder=0.7)
        for edge_s in (left_s, right_s):
            axes.axvline(edge_s, color=TRUTH_COLOUR, linewidth=0.9, linestyle=(0, (3, 3)), zorder=2.5)
    for y, row in enumerate(rows):
        axes.barh(y, duration_s, height=BAR_HEIGHT, color=TRACK, zorder=0.5)
        axes.text(0.01, y, row.note, transform=right, fontsize=9, color=QUIET_INK, va="center")
        axes.text(1.03, y, row.iou, transform=right, fontsize=10, color=INK, va="center", fontweight="bold")
        _draw_spans(axes, y, row, duration_s)


def _draw_spans(axes: Axes, y: int, row: _Row, duration_s: float) -> None:
    """The bars of a row, cut to the video, with their true numbers inside or, failing that, beside them."""
    inches_per_s = AXES_WIDTH_IN / duration_s
    cut_in = [tuple(_within(time_s, duration_s) * inches_per_s for time_s in span) for span in row.spans]
    bars_in = [bar for bar, span in zip(cut_in, row.spans, strict=True) if spans.is_usable(span)]
    labels_in: list[tuple[float, ...]] = []
    for left, right in bars_in:
        axes.barh(y, (right - left) / inches_per_s, left=left / inches_per_s, height=BAR_HEIGHT, color=row.colour)
    for span, (left, right) in zip(row.spans, cut_in, strict=True):
        usable = spans.is_usable(span)
        label = f"{span.start_s:.1f} – {span.end_s:.1f}" + ("" if usable else " (unusable)")
        width = sum(DIGIT_IN if sign.isalnum() else SIGN_IN for sign in label)
        inside = (left + right - width) / 2
        if usable and right - left > width + 0.06 and _free(inside, width, labels_in):
            start, ink = inside, _ink_on(row.colour)
        else:
            beside = [max(left, right) + 0.06, min(left, right) - 0.06 - width]
            if not usable:
                beside.append(0.06)  # it stands nowhere, so its numbers may stand anywhere
            starts = [x for x in beside if _free(x, width, [*bars_in, *labels_in])]
            if not starts:
                continue
            start, ink = starts[0], INK
        axes.text((start + width / 2) / inches_per_s, y, label, fontsize=9, color=ink, va="center", ha="center")
        labels_in.append((start, start + width))


def _free(start_in: float, width_in: float, obstacles_in: Sequence[tuple[float, ...]]) -> bool:
    """True where a label there stays on the axis and touches nothing."""
    end_in = start_in + width_in
    on_axis = start_in >= 0 and end_in <= AXES_WIDTH_IN
    return on_axis and all(end_in < left or start_in > right for left, right in obstacles_in)


def _within(time_s: float, duration_s: float) -> float:
    """The time moved into the video; a time that is no number counts as its start."""
    return 0.0 if math.isnan(time_s) else min(max(time_s, 0.0), duration_s)


def _ink_on(colour: Any) -> str:
    red, green, blue = to_rgb(colour)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.6 else "white"


def _wrap(text: str, num_chars: int, max_lines: int, family: str) -> list[str]:
    """The text in lines of a width, cut when too long; its line ends stay, signs the font lacks do not."""
    lines: list[str] = []
    for paragraph in text.expandtabs(4).splitlines():
        lines += textwrap.wrap(_drawable(paragraph, family), num_chars) or [""]
    return _cut(lines, max_lines)


def _cut(lines: list[str], max_lines: int) -> list[str]:
    if len(lines) <= max_lines:
        return lines
    return [*lines[: max_lines - 1], f"… ({len(lines) - max_lines + 1} more lines)"]


def _text(text: str, answer: Answer) -> tuple[list[str], list[tuple[int, int, int, Any]]]:
    """The text's lines, and which columns of which of them have the colour of which bar."""
    paragraphs = [_drawable(paragraph, MONO) for paragraph in text.expandtabs(4).splitlines()]
    known = "\n".join(paragraphs)
    lines = [line for paragraph in paragraphs for line in textwrap.wrap(paragraph, TEXT_CHARS) or [""]]
    num_shown = min(len(answer.anchors), MAX_ANCHOR_ROWS)
    marks: list[tuple[int, int, int, Any]] = []
    for number, runs in enumerate(marked_lines(known, lines, answer_marks(known, answer))):
        column = 0
        for run, mark in runs:
            if mark is not None and mark.anchor is None:
                marks.append((number, column, column + len(run), ANSWER_COLOUR))
            elif mark is not None and mark.anchor is not None and mark.anchor < num_shown:
                marks.append((number, column, column + len(run), _anchor_colour(mark.anchor, num_shown)))
            column += len(run)
    shown = _cut(lines, MAX_TEXT_LINES)
    num_whole = len(shown) if len(shown) == len(lines) else MAX_TEXT_LINES - 1
    return shown, [mark for mark in marks if mark[0] < num_whole]


@cache
def _mono_char_in(points: float, dpi: float) -> float:
    """The width of a character of MONO as it is drawn."""
    renderer = FigureCanvasAgg(Figure(dpi=dpi)).get_renderer()
    style = font_manager.FontProperties(family=MONO, size=points)
    return float(renderer.get_text_width_height_descent("0" * 100, style, False)[0]) / 100 / dpi


def _drawable(text: str, family: str) -> str:
    known = _known_characters(family)
    return "".join(sign if ord(sign) in known else "\N{REPLACEMENT CHARACTER}" for sign in text)


@cache
def _known_characters(family: str) -> frozenset[int]:
    """The code points a font can draw; matplotlib warns for each other one and draws a box."""
    return frozenset(FT2Font(font_manager.findfont(family)).get_charmap())
