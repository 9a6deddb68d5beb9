"""The places of anchors and answer in texts, and in the same texts wrapped."""

import textwrap

from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.answer_marks import Mark, answer_marks, marked_lines
from tvg_lightning.schema import Answer, Span

TAR = (
    "<think>2 squares: <timestamp>1.0 to 4.0</timestamp>, no, <timestamp>2.5 to 4.0</timestamp>, 1.0 to 4.0 is wide."
    "</think><answer>2.5 to 4.0</answer>"
)
ANSWER = Answer(True, (Span(2.5, 4.0),), (Span(1.0, 4.0), Span(2.5, 4.0)))


def found(text: str, answer: Answer) -> list[tuple[str, int | None]]:
    return [(text[mark.start : mark.end], mark.anchor) for mark in answer_marks(text, answer)]


def test_anchors_by_their_number_and_the_answer_behind_the_thought() -> None:
    assert found(TAR, ANSWER) == [("1.0 to 4.0", 0), ("2.5 to 4.0", 1), ("1.0 to 4.0", 0), ("2.5 to 4.0", None)]


def test_equal_anchors_have_their_own_places() -> None:
    text = "<think><timestamp>1 to 2</timestamp><timestamp>1.0 to 2.0</timestamp></think>"
    assert found(text, Answer(False, None, (Span(1, 2), Span(1, 2)))) == [("1 to 2", 0), ("1.0 to 2.0", 1)]


def test_other_ways_of_writing_an_answer() -> None:
    one, two = Span(1.0, 2.0), Span(4.0, 5.5)
    assert found("[[1.0, 2.0], [4, 5.5]]", Answer(True, (one, two), is_set=True)) == [
        ("1.0, 2.0", None),
        ("4, 5.5", None),
    ]
    assert found("<think>1.0 to 2.0</think>It happens in 4.0 - 5.5 seconds.", Answer(True, (two,))) == [
        ("4.0 - 5.5", None)
    ]
    assert found("<think>1.0 to 2.0", Answer(False, (one,))) == []  # the thought has no end
    assert found("", Answer(False, None)) == []


def test_lines_of_a_wrapped_text() -> None:
    text = "at 1.0 to 2.0 so"
    mark = Mark(3, 13, 0)
    lines = textwrap.wrap(text, 8)
    assert lines == ["at 1.0", "to 2.0", "so"]
    assert marked_lines(text, lines, [mark]) == [[("at ", None), ("1.0", mark)], [("to 2.0", mark)], [("so", None)]]


@given(st.text(alphabet="ab 12.\n\t-–", max_size=60), st.integers(0, 60), st.integers(0, 20), st.integers(3, 20))
def test_wrapping_loses_and_moves_no_mark(text: str, start: int, length: int, width: int) -> None:
    mark = Mark(min(start, len(text)), min(start + length, len(text)), None)
    lines = [line for part in text.expandtabs(4).splitlines() for line in textwrap.wrap(part, width) or [""]]
    runs = marked_lines(text, lines, [mark])
    assert ["".join(run for run, _ in line) for line in runs] == lines
    marked = "".join(run for line in runs for run, of in line if of is not None)
    assert "".join(marked.split()) == "".join(text[mark.start : mark.end].split())
