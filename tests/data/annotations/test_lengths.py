import json
from pathlib import Path

import pytest

from tvg_lightning.data.annotations.lengths import lengths


def test_no_second_file_tells_nothing() -> None:
    assert lengths(None) == {}


def test_a_csv_and_lines_in_moment_detrs_form(tmp_path: Path) -> None:
    table = tmp_path / "lengths.csv"
    table.write_text('id,length,script\nAB12C,31.5,"a, b"\n')
    assert lengths(table) == {"AB12C": 31.5}
    lines = tmp_path / "val.jsonl"
    line = {"qid": 1, "query": "q", "vid": "x_60.0_210.0", "duration": 150}
    lines.write_text("".join(json.dumps({**line, "qid": qid}) + "\n" for qid in (1, 2)))
    assert lengths(lines) == {"x_60.0_210.0": 150.0}
    lines.write_text("".join(json.dumps({**line, "qid": qid, "duration": 100 + qid}) + "\n" for qid in (1, 2)))
    with pytest.raises(ValueError, match=r"val\.jsonl: x_60\.0_210\.0 is said to last 101\.0 s and 102\.0 s"):
        lengths(lines)


def test_a_file_without_lengths_is_one_error(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text('{"a": 31.5}')
    with pytest.raises(ValueError, match=r"other\.json: the lengths of videos are read from a csv with the columns id"):
        lengths(file)
    file.write_text("id,seconds\nAB12C,31.5\n")
    with pytest.raises(ValueError, match=r"other\.json:1: the columns id and length are needed"):
        lengths(file)
