from pathlib import Path

import pytest

from tvg_lightning.data.annotations import omtg
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.schema import Sample, Span

HEAD = "index\tvideo\tquestion\tanswer"
TWO = "<time>12.0 - 15.5 seconds</time> and <time>01:00 - 01:05 seconds</time>"


def save(folder: Path, *rows: str) -> Path:
    path = folder / "OMTGBench.tsv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_the_windows_of_an_answer(tmp_path: Path) -> None:
    rows = [
        f"7\tcat/a.mp4\tWhen does he jump?\t{TWO}\t90",
        "8\tb\tWhen does she sing?\t\t90.5",
        "8\tb\tWhen does she sing?\tnowhere to be seen\t90.5",
        '9\tb\t"All times\n""he"" falls"\t5 - 2 seconds\t90.5',
    ]
    path = save(tmp_path, f"{HEAD}\tduration", *rows)
    result = clean(path, omtg.records(path))
    assert result.samples == (
        Sample("OMTGBench:7", "cat/a.mp4", 90.0, "When does he jump?", (Span(12.0, 15.5), Span(60.0, 65.0))),
        Sample("OMTGBench:8", "b.mp4", 90.5, "When does she sing?", ()),
        Sample("OMTGBench:8#2", "b.mp4", 90.5, "When does she sing?", None),
    )
    assert result.report.noted == ((4, "the answer states no window: the truth is unknown"),)
    assert result.report.refused == ((6, "window is reversed"),)


def test_without_durations_they_come_from_a_second_file(tmp_path: Path) -> None:
    table = tmp_path / "lengths.csv"
    table.write_text("id,length\na,90.5\n")
    path = save(tmp_path, "video\tquestion\tanswer", f"cat/a.mp4\tq\t{TWO}", f"b.mp4\tq\t{TWO}")
    assert [(r.sample_id, r.duration_s) for r in omtg.records(path, table)] == [
        ("OMTGBench:0", 90.5),
        ("OMTGBench:1", None),
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["video,question,answer"], "1: the columns video and question and answer are needed"),
        ([HEAD, "1\ta.mp4"], "2: question: the row ends before this column"),
        ([HEAD, "1\t \tq\t1-2"], "2: video must be a text"),
        ([f"{HEAD}\tduration", "1\ta\tq\t1-2\tlong"], "2: duration must be a number of seconds, got 'long'"),
    ],
)
def test_a_broken_table_is_named(rows: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"OMTGBench\.tsv:{message}"):
        list(omtg.records(save(tmp_path, *rows)))
