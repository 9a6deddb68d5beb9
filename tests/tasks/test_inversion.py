import pytest

from tvg_lightning.schema import Sample, Span, Task
from tvg_lightning.tasks.inversion import can_invert, task_for, true_segment


def sample(query: str = "The red circle rises.", windows: tuple[Span, ...] = (Span(1.0, 3.0),)) -> Sample:
    return Sample("a", "a.mp4", 10.0, query, windows)


@pytest.mark.parametrize(
    ("given", "possible"),
    [
        (sample(), True),
        (sample(query="the red circle"), False),
        (sample(windows=()), False),
        (sample(windows=(Span(3.0, 1.0),)), False),
        (sample(windows=(Span(11.0, 12.0),)), False),  # after the end of the video
    ],
)
def test_can_invert(given: Sample, possible: bool) -> None:
    assert can_invert(given) == possible


@pytest.mark.parametrize("drawn", list(Task))
def test_without_a_verb_every_task_becomes_grounding(drawn: Task) -> None:
    assert task_for(sample(), drawn) is drawn
    assert task_for(sample(query="the red circle"), drawn) is Task.TVG


@pytest.mark.parametrize(
    ("windows", "segment"),
    [
        ((Span(1.0, 3.0),), Span(1.0, 3.0)),
        ((Span(1.0, 3.0), Span(4.0, 9.0)), Span(4.0, 9.0)),  # the longest
        ((Span(1.0, 3.0), Span(4.0, 6.0)), Span(1.0, 3.0)),  # the first of equals
        ((Span(-0.2, 3.0),), Span(0.0, 3.0)),
        ((Span(8.0, 14_220.0), Span(1.0, 4.0)), Span(1.0, 4.0)),  # long only outside the video
        ((), None),
    ],
)
def test_true_segment(windows: tuple[Span, ...], segment: Span | None) -> None:
    assert true_segment(sample(windows=windows)) == segment
