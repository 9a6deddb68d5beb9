import json
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.data.annotations import jsonl, taro
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.schema import Sample, Span

LINE: dict[str, Any] = {
    "qid": "test0", "query": " A goat.", "duration": 31.0, "vid": "a", "relevant_windows": [[24.3, 30.4]],
    "video_file": "v_a.mp4",
}  # fmt: skip
PROMPT = '<video>Find the event "{}" in the video.\n\nAnswer as "start to end", for example "eating from a box".'
ITEM: dict[str, Any] = {
    "data_source": "vtgbench", "prompt": [{"role": "user", "content": PROMPT.format('a "red" goat')}],
    "videos": ["data/TimeR1-Dataset/tvgbench_data/a.mp4"], "video_start": None, "video_end": None,
    "reward_model": {"style": "rule", "ground_truth": [13.4, 28.1]}, "extra_info": {"index": 7, "duration": 30},
}  # fmt: skip


def save(folder: Path, items: list[Any], lines: bool) -> Path:
    path = folder / "set.json"
    path.write_text("".join(json.dumps(item) + "\n" for item in items) if lines else json.dumps(items))
    return path


def test_the_lines_that_are_evaluated_on(tmp_path: Path) -> None:
    cut = {**LINE, "qid": 2579, "video_start": 10, "video_end": 41.5, "relevant_windows": [[1, 2], [8, 32]]}
    path = save(tmp_path, [LINE, cut, {**LINE, "video_start": None, "video_end": None}], lines=True)
    result = clean(path, taro.records(path))
    assert result.samples == (
        Sample("test0", "v_a.mp4", 31.0, "A goat.", (Span(24.3, 30.4),)),
        Sample("2579", "v_a.mp4", 31.0, "A goat.", (Span(1.0, 2.0), Span(8.0, 31.0)), Span(10.0, 41.5)),
        Sample("test0#2", "v_a.mp4", 31.0, "A goat.", (Span(24.3, 30.4),)),
    )


def test_verls_list_with_and_without_captions(tmp_path: Path) -> None:
    training = {**ITEM, "query": "a goat.", "captions": ["It eats.", "It sleeps."], "video_start": 5, "video_end": 35}
    training["videos"] = ["data/TimeR1-Dataset/timerft_data/b.mkv"]
    path = save(tmp_path, [ITEM, training, {**ITEM, "videos": ["mine/c.mp4"], "captions": None}], lines=False)
    result = clean(path, taro.records(path))
    window = (Span(13.4, 28.1),)
    assert result.samples == (
        Sample("set:0", "a.mp4", 30.0, 'a "red" goat', window),
        Sample("set:1", "b.mkv", 30.0, "a goat.", window, Span(5.0, 35.0), captions=("It eats.", "It sleeps.")),
        Sample("set:2", "mine/c.mp4", 30.0, 'a "red" goat', window),
    )
    jsonl.write(tmp_path / "own.jsonl", result.samples)
    assert jsonl.read(tmp_path / "own.jsonl").samples == result.samples


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"videos": []}, "videos must be a list of one name"),
        ({"videos": [7]}, "videos must be a text"),
        ({"prompt": "words"}, "prompt must be a list with a user's turn"),
        ({"prompt": [{"role": "user", "content": 'no quotes\n\n"here"'}]}, "the prompt's first paragraph must hold"),
        ({"reward_model": {}}, "another form: ground_truth missing"),
        ({"extra_info": None}, "another form: an object with duration"),
        ({"captions": "It eats."}, "captions must be a list of texts"),
        ({"video_start": 3}, "video_end must be a number"),
    ],
)
def test_a_broken_item_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"set\.json:item 1: {message}"):
        list(taro.records(save(tmp_path, [ITEM, {**ITEM, **change}], lines=False)))


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"set\.json:2: another form: video_file missing"):
        list(taro.records(save(tmp_path, [LINE, {k: v for k, v in LINE.items() if k != "video_file"}], lines=True)))


FOLDER = "data/annotations/taro__oceanflowlab_TaRO"
WHOLE = {"charades_sta_test": 3720, "qvhighlights_val": 1550, "tvgbench": 800, "activitynet_val_1": 15_933}


@pytest.mark.parametrize("name", WHOLE)
def test_the_originals_evaluated_on(name: str, shared: Path) -> None:
    path = shared / FOLDER / f"{name}.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    found = list(taro.records(path))
    assert [record.sample_id for record in found] == [str(line["qid"]) for line in lines]
    assert [[[*w] for w in r.windows or ()] for r in found] == [line["relevant_windows"] for line in lines]
    assert [r.cut is not None for r in found] == [line.get("video_start") is not None for line in lines]
    report = clean(path, found).report
    num_empty = sum(start == end for line in lines for start, end in line["relevant_windows"])
    assert (report.num_read, [why for _, why in report.refused]) == (
        len(lines) - num_empty,
        ["window is empty"] * num_empty,
    )
    counts = {
        "late": sum(end > line["duration"] for line in lines for _, end in line["relevant_windows"]),
        "blank": sum(record.query.startswith(" ") for record in found),
        "outer blanks": sum(record.query != record.query.strip() for record in found),
        "several": sum(len(record.windows or ()) > 1 for record in found),
    }
    assert len(report.clipped) == counts["late"]
    if len(lines) == WHOLE[name]:
        told = {"charades_sta_test": ("late", 0), "qvhighlights_val": ("several", 530), "tvgbench": ("late", 27),
                "activitynet_val_1": ("blank", 10_589)}  # fmt: skip
        key, num = told[name]
        assert counts[key] == num
        assert name != "tvgbench" or (num_empty, counts["outer blanks"]) == (11, 135)


def test_the_original_of_verl_asks_tvgbench_without_full_stops(shared: Path) -> None:
    path = shared / FOLDER / "test.json"
    items = json.loads(path.read_text())
    found = list(taro.records(path))
    assert [[[*w] for w in r.windows or ()] for r in found] == [[i["reward_model"]["ground_truth"]] for i in items]
    assert not any("/" in record.video for record in found)
    published = json.loads((shared / "data/annotations/tvgbench__xiaomi-research_time-r1/tvgbench.json").read_text())
    asked = {item["question"].strip().removesuffix(".").strip() for item in published}
    assert len(asked & {record.query.strip() for record in found}) >= 0.95 * len({r.query for r in found})
