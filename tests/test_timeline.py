import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from tvg_lightning.schema import Answer, Span
from tvg_lightning.timeline import (
    ANSWER_COLOUR,
    FIRST_ANCHOR_COLOUR,
    LAST_ANCHOR_COLOUR,
    MAX_ANCHOR_ROWS,
    TRUTH_COLOUR,
    Frames,
    draw_refinement,
    draw_timeline,
    figure_to_image,
)

LONG = "a person in a dark jacket opens the door of the refrigerator, takes a bottle out and drinks from it " * 4


def grey(num_frames: int, height: int = 56, width: int = 84) -> Frames:
    return np.full((num_frames, height, width, 3), 128, np.uint8)


def shown_texts(figure: Figure) -> list[Text]:
    """Every text that is drawn: not empty, and no tick label outside its axis."""
    hidden = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
        if not axes.axison or not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    return [text for text in texts if text.get_text().strip() and text.get_visible() and text not in hidden]


def assert_readable(figure: Figure) -> None:
    """No text touches another one or leaves the page."""
    figure_to_image(figure)
    width, height = figure.bbox.width, figure.bbox.height
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown_texts(figure)]
    for name, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, f"{name!r} leaves the page"
    for (name, box), (other_name, other) in itertools.combinations(boxes, 2):
        apart = box.x1 <= other.x0 or other.x1 <= box.x0 or box.y1 <= other.y0 or other.y1 <= box.y0
        assert apart, f"{name!r} touches {other_name!r}"


def words(figure: Figure) -> list[str]:
    figure_to_image(figure)
    return [text.get_text() for text in shown_texts(figure)]


def bars(figure: Figure, colour: str) -> list[tuple[float, float]]:
    """Start and end of the bars of a colour, in seconds; shades are of another height."""
    axes = timeline_axes(figure)
    return [
        (patch.get_x(), patch.get_x() + patch.get_width())
        for patch in axes.patches
        if to_hex(patch.get_facecolor()) == colour and patch.get_height() < 1 and patch.get_alpha() is None
    ]


def timeline_axes(figure: Figure) -> Axes:
    (axes,) = (axes for axes in figure.axes if axes.get_xlabel() == "seconds")
    return axes


def draw(
    windows: Sequence[Span] | None = (Span(5.0, 9.0),),
    anchors: Sequence[Span] = (),
    answer: Span | None = None,
    frames: Frames | None = None,
    times_s: Sequence[float] | None = None,
    title: str = "when?",
    text: str = "",
) -> Figure:
    said = Answer(True, answer and (answer,), tuple(anchors))
    return draw_timeline(frames, 12.0, windows, said, title, text, times_s)


def test_the_bars_stand_where_the_times_are() -> None:
    figure = draw(anchors=[Span(2.0, 9.5), Span(4.5, 9.0)], answer=Span(5.0, 8.0))
    assert timeline_axes(figure).get_xlim() == (0.0, 12.0)
    assert bars(figure, TRUTH_COLOUR) == [(5.0, 9.0)]
    assert bars(figure, ANSWER_COLOUR) == [(5.0, 8.0)]
    said = words(figure)
    for word in ("truth", "anchor 1", "anchor 2", "answer", "when?", "seconds", "IoU"):
        assert said.count(word) == 1
    for number in ("0.53", "0.89", "0.75"):  # 4/7.5, 4/4.5, 3/4
        assert said.count(number) == 1
    assert "5.0 – 8.0" in said


def test_the_truth_of_highest_iou_counts() -> None:
    assert "1.00" in words(draw(windows=[Span(0.0, 1.0), Span(5.0, 9.0)], answer=Span(5.0, 9.0)))


def test_unknown_truth_and_missing_answer_say_so() -> None:
    said = words(draw(windows=None, answer=None))
    assert "unknown" in said and "none" in said and "–" in said
    assert "0.00" in words(draw(answer=None))


def test_spans_outside_the_video_are_cut_and_their_numbers_kept() -> None:
    figure = draw(answer=Span(8.0, 900.0))
    assert bars(figure, ANSWER_COLOUR) == [(8.0, 12.0)]
    assert "8.0 – 900.0" in words(figure)


@pytest.mark.parametrize("answer", [Span(9.0, 4.0), Span(math.nan, 30.0), Span(-math.inf, math.inf)])
def test_unusable_spans_have_words_and_no_bar(answer: Span) -> None:
    figure = draw(answer=answer)
    assert bars(figure, ANSWER_COLOUR) == []
    assert any("(unusable)" in word for word in words(figure))


def test_many_anchors_are_counted() -> None:
    said = words(draw(anchors=[Span(float(k), k + 1.0) for k in range(11)]))
    assert f"anchor {MAX_ANCHOR_ROWS}" in said and f"anchor {MAX_ANCHOR_ROWS + 1}" not in said
    assert "5 more anchors" in said


def test_eight_frames_with_their_true_times() -> None:
    times_s = [0.5 * index**1.1 for index in range(16)]
    figure = draw(frames=grey(16), times_s=times_s)
    pictures = [image for axes in figure.axes for image in axes.get_images()]
    assert len(pictures) == 8
    assert [word for word in words(figure) if word.endswith(" s")] == [f"{t:.1f} s" for t in times_s[1::2]]


def test_times_that_nobody_gave_are_marked() -> None:
    said = words(draw(frames=grey(2)))
    assert "~3.0 s" in said and "~9.0 s" in said


def test_each_frame_is_the_one_that_its_time_belongs_to() -> None:
    frames = grey(24)
    frames[:] = np.arange(24, dtype=np.uint8)[:, None, None, None]
    figure = draw(frames=frames, times_s=list(range(24)))
    shades = [int(np.asarray(image.get_array())[0, 0, 0]) for axes in figure.axes for image in axes.get_images()]
    assert [f"{shade:.1f} s" for shade in shades] == [word for word in words(figure) if word.endswith(" s")]


@pytest.mark.parametrize(
    ("frames", "times_s", "fault"),
    [
        (np.zeros((2, 4, 4), np.uint8), None, "frames"),
        (np.zeros((2, 4, 4, 3), np.float32), None, "frames"),
        (np.zeros((0, 4, 4, 3), np.uint8), None, "frames"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0.0], "times_s: 1 times for 2 frames"),
    ],
)
def test_bad_frames_are_refused(frames: Frames, times_s: Sequence[float] | None, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        draw(frames=frames, times_s=times_s)


def test_a_video_without_length_is_refused() -> None:
    with pytest.raises(ValueError, match="duration_s"):
        draw_timeline(None, 0.0, [], Answer(False, None), "", "")


def test_dollars_and_foreign_signs_are_only_text() -> None:
    """Two dollar signs are a formula to matplotlib, and a sign that the font lacks is a warning."""
    said = words(draw(title="costs $5 and $\\frac 圆", text="$x_$ 圆 \ud800 \x00"))
    assert "costs $5 and $\\frac \ufffd" in said
    assert any(word.startswith("$x_$ ") for word in said)


def test_long_text_is_cut_and_says_how_much() -> None:
    said = words(draw(text="\n".join(f"line {number}" for number in range(40))))
    assert "line 14" in said and "line 15" not in said
    assert "… (25 more lines)" in said


@pytest.mark.parametrize("shape", [(16, 112, 112), (4, 568, 320), (2, 56, 400), (1, 28, 28), (64, 270, 480)])
def test_pages_are_readable(shape: tuple[int, int, int]) -> None:
    many = [Span(0.5 * k, 0.5 * k + 0.3) for k in range(20)]
    assert_readable(draw(many, many, Span(11.9, 12.0), grey(*shape), None, LONG.upper(), LONG * 3))
    assert_readable(draw(anchors=[Span(2.0, 9.5)], answer=Span(5.0, 8.0), frames=grey(*shape), text="short"))


edges = st.one_of(st.floats(-20.0, 40.0), st.sampled_from((math.nan, math.inf, 0.0, 12.0, 1e9)))
any_spans = st.builds(Span, edges, edges)


@settings(max_examples=25, deadline=None)
@given(
    windows=st.lists(any_spans, max_size=4),
    anchors=st.lists(any_spans, max_size=9),
    answer=st.none() | any_spans,
    text=st.text(max_size=80),
)
def test_no_input_spoils_the_page(windows: list[Span], anchors: list[Span], answer: Span | None, text: str) -> None:
    assert_readable(draw(windows, anchors, answer, title=text, text=text))


def test_the_image_has_the_colours_of_the_figure() -> None:
    figure = draw(answer=Span(0.0, 12.0))
    image = figure_to_image(figure)
    assert image.dtype == np.uint8 and image.ndim == 3
    assert image.shape == (int(figure.bbox.height), int(figure.bbox.width), 3)
    assert tuple(image[0, 0]) == (255, 255, 255)
    blue = tuple(int(ANSWER_COLOUR[k : k + 2], 16) for k in (1, 3, 5))
    assert (image == blue).all(axis=-1).sum() > 5_000


def test_refinement_has_a_curve_each_and_holes_where_nothing_was() -> None:
    figure = draw_refinement(["base", "explore", "refine"], [[0.1, 0.2, 0.3], [None, math.nan, 0.5]], [0.2, 0.4, 0.6])
    (axes,) = figure.axes
    curves = {str(line.get_label()): np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()}
    assert list(curves) == ["anchor 1  0.300", "anchor 2  0.500", "answer  0.600"]
    assert np.isnan(curves["anchor 2  0.500"]).tolist() == [True, True, False]
    assert_readable(figure)


def test_refinement_without_any_number_is_still_a_picture() -> None:
    assert_readable(draw_refinement([], [], []))
    assert "anchor 1  –" in words(draw_refinement(["base"], [[None]], [0.5]))


def test_refinement_names_its_stages_below_their_points() -> None:
    figure = draw_refinement(["base", "explore", "refine"], [], [0.2, 0.4, 0.6])
    figure_to_image(figure)
    ticks = figure.axes[0].xaxis.get_major_ticks()
    assert [(tick.get_loc(), tick.label1.get_text()) for tick in ticks] == [(0, "base"), (1, "explore"), (2, "refine")]
    assert list(figure.axes[0].get_lines()[0].get_xdata()) == [0, 1, 2]
    assert "stage" in words(figure) and "step" not in words(figure)


@pytest.mark.parametrize(
    ("stages", "shown"),
    [
        ([f"epoch {k + 1}" for k in range(60)], "epoch 1"),
        (["WITH_A_LONGER_NAME_THAN_FITS"] * 5, "WITH_A_LONGER_NAME_THAN…"),
        (["圆", "a_$b$", "\x00"], "a_$b$"),
    ],
)
def test_many_long_and_foreign_names_are_readable(stages: list[str], shown: str) -> None:
    figure = draw_refinement(stages, [], [0.5] * len(stages))
    assert_readable(figure)
    assert shown in words(figure)
    if len(set(stages)) == len(stages):  # where some are left out, the others stand at their own points
        ticks = figure.axes[0].xaxis.get_major_ticks()
        assert all(
            tick.label1.get_text() in (stages[round(tick.get_loc())], "\N{REPLACEMENT CHARACTER}") for tick in ticks
        )


def test_refinement_refuses_uneven_curves() -> None:
    with pytest.raises(ValueError, match=r"anchor_ious\[1\]: 1 numbers for 2 stages"):
        draw_refinement(["base", "explore"], [[0.1, 0.2], [0.3]], [0.1, 0.2])


TIMED = (
    "<think>" + 118 * "x" + " <timestamp>2.0 to 9.5</timestamp>, or <timestamp>4.5 to 9.0</timestamp></think>\n"
    "<answer>5.0 to 8.0</answer>"
)


def marks(figure: Figure) -> list[tuple[str, float, float, float]]:
    """Colour, left, right and top of the marks behind the text, in pixels; each has a line below, left out here."""
    boxes = [box for box in figure.findobj(Rectangle) if box in figure.patches or box in figure.artists]
    found = [(to_hex(box.get_facecolor()), box.get_window_extent()) for box in boxes if box.get_alpha() == 0.4]
    return [(colour, extent.x0, extent.x1, extent.y1) for colour, extent in found]


def test_times_in_the_text_lie_on_the_colours_of_their_bars() -> None:
    anchors = [Span(2.0, 9.5), Span(4.5, 9.0)]
    figure = draw(anchors=anchors, answer=Span(5.0, 8.0), text=TIMED)
    figure_to_image(figure)
    first, last = to_hex(FIRST_ANCHOR_COLOUR), to_hex(LAST_ANCHOR_COLOUR)
    found = marks(figure)
    assert [colour for colour, *_ in found] == [first, last, ANSWER_COLOUR]
    assert bars(figure, first) == [(2.0, 9.5)] and bars(figure, last) == [(4.5, 9.0)]
    lines = {text.get_text(): text.get_window_extent() for text in shown_texts(figure)}
    for words_, (_, left, right, top) in zip(("2.0 to 9.5", "4.5 to 9.0", "5.0 to 8.0"), found, strict=True):
        (line,) = (line for line in lines if f">{words_}<" in line)
        char = lines[line].width / len(line)
        assert left == pytest.approx(lines[line].x0 + line.index(words_) * char, abs=2.0)
        assert right - left == pytest.approx(10 * char, abs=1.0)
        assert lines[line].y0 < top < lines[line].y1 + 6


def test_what_is_cut_off_is_not_marked() -> None:
    anchors = [Span(float(k), k + 1.0) for k in range(8)]
    text = "<think>" + "".join(f"<timestamp>{k}.0 to {k + 1}.0</timestamp>\n" for k in range(8)) + "</think>"
    assert len(marks(draw(anchors=anchors, text=text))) == MAX_ANCHOR_ROWS  # as many as have bars
    late = "<think>" + "\n" * 20 + "<timestamp>1.0 to 2.0</timestamp></think>"
    assert marks(draw(anchors=[Span(1.0, 2.0)], text=late)) == []
