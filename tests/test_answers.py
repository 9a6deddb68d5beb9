"""Answers that are written from the truth are read back as what they state."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.answers import answer_text
from tvg_lightning.parsing import read_strict
from tvg_lightning.schema import AnswerFormat, Method, Span

TIMES = st.integers(0, 9_999).map(lambda tenths: tenths / 10)
WINDOWS = st.tuples(TIMES, st.integers(1, 5_000)).map(lambda given: Span(given[0], round(given[0] + given[1] / 10, 1)))
SETS = [method for method in Method if AnswerFormat(method).says_sets]


@given(WINDOWS, st.sampled_from(Method))
def test_what_is_written_is_read(window: Span, method: Method) -> None:
    form = AnswerFormat(method, thought=False)
    answer = read_strict(answer_text([window], form), form)
    assert answer.follows_format and answer.spans == (window,)


@given(st.lists(WINDOWS, min_size=1, max_size=3), st.sampled_from(SETS))
def test_sets_are_read(windows: list[Span], method: Method) -> None:
    form = AnswerFormat(method, thought=False)
    assert read_strict(answer_text(windows, form), form).spans == tuple(windows)


@pytest.mark.parametrize("method", Method)
def test_nothing_is_said_or_refused(method: Method) -> None:
    form = AnswerFormat(method, thought=False)
    if form.says_none:
        assert read_strict(answer_text([], form), form).spans == ()
    else:
        with pytest.raises(ValueError, match=f"data.method {method} cannot say 0 windows"):
            answer_text([], form)


def test_several_windows_in_one_window_formats() -> None:
    two = [Span(0.0, 1.0), Span(2.0, 3.0)]
    with pytest.raises(ValueError, match=r"data\.method time_r1 cannot say 2 windows"):
        answer_text(two, AnswerFormat(Method.TIME_R1, thought=False))
    form = AnswerFormat(Method.TIMELENS)
    assert answer_text(two, form) == "The event happens in 0.0 - 1.0 seconds, 2.0 - 3.0 seconds"
    assert read_strict(answer_text(two, form), form).spans == (two[0],)


def test_seconds_of_any_size_can_be_read() -> None:
    form = AnswerFormat(Method.ORA_RL)
    assert answer_text([Span(1e-5, 1234567.0)], form) == "<answer>0.0 to 1234567.0</answer>"
    assert answer_text([Span(0.0, 1234.567)], form) == "<answer>0 to 1234.57</answer>"
