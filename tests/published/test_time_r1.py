from tvg_lightning.published.time_r1 import read_time_r1
from tvg_lightning.schema import Span


def test_the_last_pair_anywhere_counts_as_written() -> None:
    assert read_time_r1("<think>1 to 2</think><answer>9 and 3.5</answer>") == [Span(9, 3.5)]
    assert read_time_r1("<think>From 1 to 2 he sits") == [Span(1, 2)]  # a thought's, where there is no answer
    assert read_time_r1("into 3 to 9") == [Span(3, 9)]


def test_other_ways_of_writing_are_not_read() -> None:
    for text in ("3 - 9", "3s to 9s", "3 TO 9", "0:03 - 0:09", "[3, 9]", "3  to 9"):
        assert read_time_r1(text) == [], text
