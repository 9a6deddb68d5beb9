from pathlib import Path

from tvg_lightning.data.annotations.describe import describe, durations_s
from tvg_lightning.data.annotations.records import Record, clean
from tvg_lightning.schema import Sample, Span


def test_the_report_by_hand() -> None:
    found = [
        Record(1, "a", "g.mp4", 10.0, "a goat eats", (Span(0.0, 2.0),)),
        Record(2, "b", "g.mp4", 10.0, "a goat eats", (Span(4.0, 8.0), Span(9.0, 11.5))),
        Record(3, "c", "h.mp4", 30.0, " a goat", (Span(-0.5, 3.0),)),
        Record(4, "d", "h.mp4", 30.0, "a  goat", (Span(3.0, 1.0),)),
        Record("item 9", "e", "h.mp4", 30.0, "a goat", None),
    ]
    text = describe(found, clean(Path("goats.txt"), found), examples=1)
    assert text == (
        "goats.txt\n"
        "5 records of 2 videos\n"
        "4 read, 2 fixed, 2 clipped, 1 refused\n"
        "  fixed   blanks in the query: 2 (line 3; …)\n"
        "  refused window is reversed: 1 (line 4)\n"
        "  clipped window beyond its video, by up to 1.50 s: 2 (line 2 (9.0, 11.5) cut to (9.0, 10.0); …)\n"
        "\n"
        "windows a query: one 2, several 1, unknown 1\n"
        "queries asked again of the same video: 1 (1 of the queries with different windows)\n"
        "queries with blanks around them: 1\n"
        "queries that begin with a blank: 1\n"
        "\n"
        "                      min       5 %    median      95 %       max      mean\n"
        "video, s            10.00     11.00     20.00     29.00     30.00     20.00\n"
        "window, s            1.00      1.15      2.50      3.85      4.00      2.50\n"
        "window / video       0.10      0.10      0.15      0.37      0.40      0.20\n"
        "words a query        2.00      2.00      2.50      3.00      3.00      2.50\n"
    )


def test_no_places_and_nothing_read() -> None:
    found = [Record(1, "a", "g.mp4", None, "a goat", (Span(0.0, 2.0),))]
    lines = describe(found, clean(Path("goats.txt"), found), examples=0).splitlines()
    assert "  refused video has no length: 1" in lines and "windows a query: none" in lines


def test_a_video_counts_once_and_each_part_of_it() -> None:
    cuts = [None, None, Span(0.0, 4.0), Span(5.0, 8.0)]
    samples = [Sample(str(i), "g.mp4", 9.0 if cut is None else 4.0 - i, "q", (), cut) for i, cut in enumerate(cuts)]
    assert sorted(durations_s(samples)) == [1.0, 2.0, 9.0]
