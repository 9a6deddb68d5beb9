import json
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.data.annotations import jsonl, ra_rft
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.schema import Sample, Span

YES: dict[str, Any] = {"q": "a goat eats", "a": "<answer>9.3 to 14.4</answer>", "r": True, "difficulty": "original"}
NO: dict[str, Any] = {"q": "a goat sings", "a": "<answer>it is silent</answer>", "r": False, "difficulty": "hard"}
ITEM: dict[str, Any] = {
    "video": "/data/me/a.mp4", "query_text": "a goat eats", "timestamp": [9.3, 14.4], "difficulty": None,
    "video_start": None, "video_end": None, "duration": 13.0, "GRPO": [YES, NO],
}  # fmt: skip
MOVED = "the authors' folder is left out of the video's name"


def save(folder: Path, *items: Any) -> Path:
    path = folder / "set.json"
    path.write_text(json.dumps(items))
    return path


def without(given: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key not in keys}


def test_answerable_and_refusable_queries_in_any_order(tmp_path: Path) -> None:
    path = save(tmp_path, {**ITEM, "GRPO": [NO, YES]}, {**ITEM, "video": "data/b.mp4", "GRPO": [YES]})
    result = clean(path, ra_rft.records(path))
    assert result.samples == (
        Sample("set:0_0", "a.mp4", 13.0, "a goat sings", (), kind="hard"),
        Sample("set:0_1", "a.mp4", 13.0, "a goat eats", (Span(9.3, 13.0),), kind="original"),
        Sample("set:1_0", "b.mp4", 13.0, "a goat eats", (Span(9.3, 13.0),), kind="original"),
    )
    assert result.report.fixed == (("item 0 query 0", MOVED), ("item 0 query 1", MOVED))
    jsonl.write(tmp_path / "own.jsonl", result.samples)
    assert jsonl.read(tmp_path / "own.jsonl").samples == result.samples


def test_without_difficulty_the_kind_is_what_the_video_can_answer(tmp_path: Path) -> None:
    said = {**without(YES, "difficulty"), "a": "<answer>9.3 to 14.4</answer><correct></correct>"}
    empty = {**said, "a": "<answer></answer><correct>a goat eats</correct>"}
    other = {**NO, "difficulty": None}
    path = save(tmp_path, {**ITEM, "GRPO": [said, other]}, {**ITEM, "video": "../b.mp4", "GRPO": [empty]})
    result = clean(path, ra_rft.records(path))
    assert [sample.kind for sample in result.samples] == ["answerable", "refusable", "answerable"]
    odd = "reference answer has <correct> where RA-RFT's code reads <correction>"
    assert result.report.noted == (
        ("item 0 query 0", odd),
        ("item 1 query 0", "reference answer of an answerable query is empty"),
        ("item 1 query 0", odd),
    )


def test_an_empty_timestamp_is_counted_once_an_item(tmp_path: Path) -> None:
    bare = {**ITEM, "timestamp": []}
    path = save(tmp_path, {**bare, "GRPO": [{**NO, "a": ""}, NO]}, {**bare, "GRPO": [NO, YES]})
    result = clean(path, ra_rft.records(path))
    assert [sample.windows for sample in result.samples] == [(), (), (), None]
    assert [note for note in result.report.noted if "timestamp" in note[1]] == [
        ("item 0 query 0", "timestamp of the item is empty"),
        ("item 1 query 0", "timestamp of the item is empty"),
        ("item 1 query 1", "answerable, but without a timestamp: the truth is unknown"),
    ]
    assert ("item 0 query 0", "reference answer of a refusable query is empty") in result.report.noted


def test_lengths_cuts_and_windows_from_a_second_file(tmp_path: Path) -> None:
    """The cut is 20 to 33.5 s, the window 1 to 4 s of it: theirs says 21 to 37.5 s of the file."""
    table, bench = tmp_path / "lengths.csv", tmp_path / "tvgbench.json"
    table.write_text("id,length\nb,60.5\n")
    question = {"path": "x/a.mp4", "question": " a goat eats", "answer": "1-4", "start": 20, "end": 33.5}
    plain = {**question, "path": "x/b.mp4", "answer": "21-37.5", "start": None, "end": None}
    twice = {**plain, "path": "x/c.mp4"}
    bench.write_text(json.dumps([{**each, "duration": 41.5} for each in (question, plain, twice, twice)]))
    item = {**without(ITEM, "duration"), "timestamp": [21.0, 37.5]}
    path = save(tmp_path, *({**item, "video": f"v/{name}.mp4"} for name in "abc"))
    assert [record.duration_s for record in ra_rft.records(path, table)] == [None, None, 60.5, 60.5, None, None]
    found = list(ra_rft.records(path, bench))
    assert [(record.duration_s, record.cut, record.windows) for record in found[::2]] == [
        (41.5, Span(20.0, 33.5), (Span(1.0, 4.0),)),
        (41.5, None, (Span(21.0, 37.5),)),
        (None, None, (Span(21.0, 37.5),)),  # nothing says which of the two it is
    ]
    assert [record.windows for record in found[1::2]] == [(), (), ()] and found[1].cut == found[0].cut
    why = "part of a file, which TVGBench alone tells: its cut and window are taken"
    assert [record.fixed for record in found] == [(why,), (why,), (), (), (), ()]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"GRPO": None}, "1: GRPO must be a list of queries"),
        ({"GRPO": [{"q": "q"}]}, "1 query 0: another form: r missing"),
        ({"GRPO": [YES, {**NO, "r": "no"}]}, "1 query 1: r must be true or false, got 'no'"),
        ({"GRPO": [{**YES, "q": None}]}, "1 query 0: q must be a text"),
        ({"GRPO": [{**YES, "difficulty": 3}]}, "1 query 0: difficulty must be a text of letters"),
        ({"timestamp": "1-2"}, r"1: timestamp must be a list of \[start, end\]"),
        ({"video": ""}, "1: video must be a text"),
        ({"duration": "9"}, "1: duration must be a number"),
    ],
)
def test_a_broken_item_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"set\.json:item {message}"):
        list(ra_rft.records(save(tmp_path, ITEM, {**ITEM, **change})))


FOLDER = "data/annotations/rarft__JINSUBY_RA-RFT"
LATE, TIMELESS, ODD = "end late", "timestamp of the item is empty", "reference answer has <correct>"
WHOLE: dict[str, tuple[int, dict[str, int]]] = {
    "hi_vtg_charades": (1097, {"queries": 2194, LATE: 166}),
    "hi_vtg_tvgbench": (800, {"queries": 1600}),
    "human_anno": (100, {"queries": 200, ODD: 179, "of an answerable query is empty": 20}),
    "ss_vtg_charades": (2119, {"queries": 3720, TIMELESS: 841}),
    "ss_vtg_qvhighlight": (1550, {"queries": 3100}),
}


@pytest.mark.parametrize("name", WHOLE)
def test_the_originals(name: str, shared: Path) -> None:
    path = shared / FOLDER / f"{name}.json"
    items = json.loads(path.read_text())
    asked = [(item, query) for item in items for query in item["GRPO"]]
    found = list(ra_rft.records(path))
    assert [record.query for record in found] == [query["q"] for _, query in asked]
    truths = [[item["timestamp"]] if query["r"] else [] for item, query in asked]
    assert [[[*window] for window in record.windows or ()] for record in found] == truths
    assert {record.kind for record in found} == {
        query.get("difficulty", "answerable" if query["r"] else "refusable") for _, query in asked
    }
    assert not any("/" in record.video for record in found)
    result = clean(path, found)
    has_durations = "duration" in items[0]
    assert has_durations == any(result.samples)
    assert has_durations != any(why == "video has no length" for _, why in result.report.refused)
    notes = [why for _, why in result.report.noted]
    told = {key: sum(key in why for why in notes) for key in (TIMELESS, ODD, "of an answerable query is empty")}
    late = sum(why == "window begins after the video's end" for _, why in result.report.refused)
    told |= {"queries": len(found), LATE: late + len(result.report.clipped)}
    assert told[TIMELESS] == sum(not item["timestamp"] for item in items)
    assert told[ODD] == sum("<correct>" in query["a"] for _, query in asked)
    num_items, expected = WHOLE[name]
    assert len(items) != num_items or expected.items() <= told.items()


def test_the_original_of_tvgbench_with_its_cuts(shared: Path) -> None:
    bench = shared / "data/annotations/tvgbench__xiaomi-research_time-r1/tvgbench.json"
    found = list(ra_rft.records(shared / FOLDER / "hi_vtg_tvgbench.json", bench))
    assert sum(record.duration_s is None for record in found) <= 0.05 * len(found)
    assert any(record.cut is not None for record in found)
    assert all(bool(record.fixed) == (record.cut is not None) for record in found)
