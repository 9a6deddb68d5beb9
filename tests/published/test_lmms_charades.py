from tvg_lightning.published.lmms_charades import read_lmms_charades
from tvg_lightning.schema import Span


def test_the_ways_in_their_order() -> None:
    assert read_lmms_charades("at 1:05 and 0:50, that is 5 - 9") == [Span(50, 65)]  # two clocks go first, sorted
    assert read_lmms_charades("04:23.25 - 04:31.20") == [Span(4, 23.25)]  # a clock with decimals is none
    assert read_lmms_charades("FROM 9 TO 3, or 20 - 30") == [Span(3, 9)]
    assert read_lmms_charades("It starts at 3 s, not 4.\nIt ends at 9.") == [Span(3, 9)]
    assert read_lmms_charades("3.5s to 9s") == [Span(3.5, 9)]


def test_what_it_does_not_read() -> None:
    for text in ("Starting time: 3 seconds. Ending time: 9 seconds", "between 3 and 9", "[[3, 9]]", "at 3", ""):
        assert read_lmms_charades(text) == [], text
