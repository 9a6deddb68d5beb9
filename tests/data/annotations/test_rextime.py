import json
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.data.annotations import rextime
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.schema import Sample, Span

LINE: dict[str, Any] = {
    "qid": "goat_1",
    "query": "What did the goat do before?",
    "duration": 50,
    "vid": "g_60.0_110.0",
    "relevant_windows": [[0, 28]],
    "ans": "A",
}
FULLER: dict[str, Any] = {
    "question": "What did the goat do before?",
    "answer": "From <s0> to <e0>, it ate.",
    "options": ["From <s0> to <e0>, it ate."],
    "span": [3, 9.5],
    "source": "goats",
    "category": "order",
    "vid": "v_g",
    "duration": 50,
}


def test_lines_and_a_zero_length_window(tmp_path: Path) -> None:
    path = tmp_path / "val.jsonl"
    zero, at_zero = (
        {**LINE, "qid": "b", "relevant_windows": [[5, 5]]},
        {**LINE, "qid": "c", "relevant_windows": [[0, 0]]},
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in (LINE, zero, at_zero)))
    result = clean(path, rextime.records(path))
    assert result.samples == (Sample("goat_1", "g_60.0_110.0.mp4", 50.0, str(LINE["query"]), (Span(0.0, 28.0),)),)
    assert result.report.refused == ((2, "window is empty"), (3, "window is empty"))


def test_the_fuller_form_and_hidden_answers(tmp_path: Path) -> None:
    path = tmp_path / "test.json"
    hidden = {**FULLER, "span": [0, 0], "ans": "", "qid": "h"}
    path.write_text(json.dumps([FULLER, {**FULLER, "span": [[3, 9.5]]}, hidden, {**hidden, "qid": "i", "answer": ""}]))
    result = clean(path, rextime.records(path))
    query = str(FULLER["question"])
    assert result.samples == (
        Sample("test:0", "v_g.mp4", 50.0, query, (Span(3.0, 9.5),)),
        Sample("test:1", "v_g.mp4", 50.0, query, (Span(3.0, 9.5),)),
        Sample("h", "v_g.mp4", 50.0, query, None),
        Sample("i", "v_g.mp4", 50.0, query, None),
    )
    assert not (result.report.refused or result.report.fixed)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({**FULLER, "span": "3-9"}, "span must be a list"),
        ({key: value for key, value in FULLER.items() if key != "span"}, "another form: span missing"),
        ({key: value for key, value in FULLER.items() if key != "question"}, "question must be a text"),
    ],
)
def test_a_broken_item_is_named(item: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "val.json").write_text(json.dumps([FULLER, item]))
    with pytest.raises(ValueError, match=rf"val\.json:item 1: {message}"):
        list(rextime.records(tmp_path / "val.json"))


def test_the_original_validation_split(shared: Path) -> None:
    path = shared / "data" / "annotations" / "rextime__ReXTime" / "rextime_val.jsonl"
    found = list(rextime.records(path))
    report = clean(path, found).report
    assert len(found) == 921 and (report.num_read, report.num_clipped, report.num_fixed) == (919, 4, 0)
    assert [why for _, why in report.refused] == ["window is empty"] * 2
