"""Time lines in characters, counted by hand, and text that can do nothing to a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.browsing.lanes import anchor_lane, answer_lane, axis, clipped, columns_of, safe, width_of, wrapped
from tvg_lightning.schema import Span

INF = float("inf")


@pytest.mark.parametrize(
    ("span", "columns"),
    [
        ((0.0, 10.0), (0, 10)),
        ((2.5, 3.5), (2, 4)),  # seconds 2 to 4 are touched
        ((3.0, 4.0), (3, 4)),
        ((3.1, 3.2), (3, 4)),  # never nothing
        ((12.0, 15.0), (9, 10)),  # beyond the video: at its end
        ((-3.0, 1.0), (0, 1)),
    ],
)
def test_columns(span: tuple[float, float], columns: tuple[int, int]) -> None:
    assert columns_of(Span(*span), 10.0, 10) == range(*columns)


def test_what_cannot_be_drawn_is_left_out() -> None:
    bad = [Span(5.0, 5.0), Span(7.0, 6.0), Span(0.0, INF)]
    assert answer_lane(bad, bad, 10.0, 5) == anchor_lane(bad, (), 10.0, 5) == "·····"


def test_anchors_after_the_ninth_have_no_number() -> None:
    anchors = [Span(float(k), k + 1.0) for k in range(11)]
    assert anchor_lane(anchors, (), 11.0, 11) == "123456789++"


@given(st.floats(0.05, 1e5), st.integers(20, 200))
def test_the_axis_fits_every_video(duration_s: float, width: int) -> None:
    line = axis(duration_s, width)
    assert len(line) == width and line.endswith(" s") and line[0] in "0 "


@given(st.text())
def test_no_character_does_anything_to_a_terminal(text: str) -> None:
    made = safe(text)
    assert len(made) == len(text)
    assert all(sign in "\n\u200c\u200d" or sign.isprintable() for sign in made)


@given(st.text(alphabet="ab 圆e\u0301\n", max_size=80), st.integers(2, 30))
def test_wrapped_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    lines = list(wrapped(text, width))
    assert all(width_of(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert width_of(clipped(text, width)) <= width
