from pathlib import Path

import pytest

from tvg_lightning.data.annotations.report import Tally, impossible
from tvg_lightning.schema import Span


@pytest.mark.parametrize(
    ("window", "why"),
    [
        (Span(1.0, 2.0), None),
        (Span(-0.2, 99.0), None),
        (Span(float("nan"), 2.0), "not finite"),
        (Span(1.0, float("inf")), "not finite"),
        (Span(2.0, 1.0), "reversed"),
        (Span(2.0, 2.0), "empty"),
        (Span(10.0, 11.0), "begins after"),
        (Span(-2.0, 0.0), "ends before"),
    ],
)
def test_what_is_impossible_in_ten_seconds(window: Span, why: str | None) -> None:
    found = impossible(window, 10.0)
    assert found is None if why is None else found is not None and why in found


def test_windows_are_clipped_and_noted() -> None:
    tally = Tally(Path("a"))
    assert tally.fit(3, [Span(1.0, 2.0), Span(-0.1, 10.5)], 10.0) == (Span(1.0, 2.0), Span(0.0, 10.0))
    report = tally.result().report
    assert report.clipped == ((3, "(-0.1, 10.5) cut to (0.0, 10.0)"),) and report.num_clipped == 1


def test_one_impossible_window_refuses_the_line() -> None:
    tally = Tally(Path("a"))
    assert tally.fit(7, [Span(1.0, 12.0), Span(5.0, 4.0)], 10.0) is None
    report = tally.result().report
    assert report.refused == ((7, "window is reversed"),) and report.num_refused == 1 and report.clipped == ()


def test_a_line_with_two_notes_counts_once() -> None:
    tally = Tally(Path("a"))
    tally.fit(1, [Span(0.0, 11.0), Span(9.0, 12.0)], 10.0)
    assert tally.query(1, "  a\tb\n c ") == "a b c" and tally.query(2, "a b c") == "a b c"
    report = tally.result().report
    assert (report.num_clipped, report.num_fixed, len(report.clipped)) == (1, 1, 2)
