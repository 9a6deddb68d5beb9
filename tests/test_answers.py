"""Answers that are written from the truth are read back as what they state."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.answers import answer_text
from tvg_lightning.parsing import read_strict
from tvg_lightning.schema import AnswerFormat, Method, Span

TIMES = st.integers(0, 9_999).map(lambda tenths: tenths / 10)
WINDOWS = st.tuples(TIMES, st.integers(1, 5_000)).map(lambda given: Span(given[0], round(given[0] + given[1] / 10, 1)))


@given(WINDOWS, st.sampled_from(Method))
def test_what_is_written_is_read(window: Span, method: Method) -> None:
    form = AnswerFormat(method, thought=False)
    answer = read_strict(answer_text([window], form), form)
    assert answer.follows_format and answer.spans == (window,)


@given(st.lists(WINDOWS, max_size=3))
def test_sets_are_read(windows: list[Span]) -> None:
    form = AnswerFormat(Method.TIMELENS2)
    assert read_strict(answer_text(windows, form), form).spans == tuple(windows)


def test_seconds_of_any_size_can_be_read() -> None:
    form = AnswerFormat(Method.TIME_R1, thought=False)
    assert answer_text([Span(1e-5, 1234567.0)], form) == "<answer>0.0 to 1234567.0</answer>"
    assert answer_text([Span(0.0, 1234.567)], form) == "<answer>0 to 1234.57</answer>"


@pytest.mark.parametrize("windows", [[], [Span(0.0, 1.0), Span(2.0, 3.0)]])
def test_one_window_formats_refuse_sets(windows: list[Span]) -> None:
    with pytest.raises(ValueError, match="says one window"):
        answer_text(windows, AnswerFormat(Method.TIME_R1, thought=False))
