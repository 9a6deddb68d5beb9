import json
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.data.annotations import moment_detr
from tvg_lightning.data.annotations.records import Record
from tvg_lightning.schema import Span

GOOD: dict[str, Any] = {
    "qid": 7,
    "query": "a goat climbs a wall",
    "vid": "g_60.0_210.0",
    "duration": 150,
    "relevant_windows": [[2, 8], [90, 160]],
}


def save(folder: Path, *items: Any) -> Path:
    path = folder / "goats.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    return path


def test_windows_are_as_published(tmp_path: Path) -> None:
    path = save(tmp_path, GOOD, {**GOOD, "qid": "b_0", "vid": "b.mkv", "relevant_windows": [[9, 4]], "extra": 1})
    assert list(moment_detr.records(path)) == [
        Record(1, "7", "g_60.0_210.0.mp4", 150.0, "a goat climbs a wall", (Span(2.0, 8.0), Span(90.0, 160.0))),
        Record(2, "b_0", "b.mkv", 150.0, "a goat climbs a wall", (Span(9.0, 4.0),)),
    ]


def test_without_windows_the_truth_is_unknown(tmp_path: Path) -> None:
    hidden = {key: value for key, value in GOOD.items() if key != "relevant_windows"}
    found = list(moment_detr.records(save(tmp_path, hidden, {**GOOD, "relevant_windows": []}), suffix=".avi"))
    assert [record.windows for record in found] == [None, None] and found[0].video == "g_60.0_210.0.avi"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qid": None}, "qid must be"),
        ({"qid": True}, "qid must be"),
        ({"query": 3}, "query must be a text"),
        ({"vid": " "}, "vid must be a text"),
        ({"duration": "150"}, "duration must be a number"),
        ({"duration": 10**400}, "duration must be a number"),
        ({"relevant_windows": None}, "relevant_windows must be a list"),
        ({"relevant_windows": [[1, 2, 3]]}, r"relevant_windows must hold \[start, end\]"),
    ],
)
def test_a_broken_line_names_file_and_line(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"goats\.jsonl:2: {message}"):
        list(moment_detr.records(save(tmp_path, GOOD, {**GOOD, **change})))
