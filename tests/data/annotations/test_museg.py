import json
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.data.annotations import museg
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.schema import Sample, Span

STAGE: dict[str, Any] = {
    "idx": 0, "problem": "Find where the action 'rafting' occurs.", "solution": [[5, 58.8], [58.8, 107]],
    "video": "videos/hacs/a.mp4", "duration": 108, "task": "tal",
}  # fmt: skip
SHORT = {key: value for key, value in STAGE.items() if key != "duration"}


def save(folder: Path, items: list[Any], name: str = "stage_1.jsonl") -> Path:
    path = folder / name
    path.write_text(json.dumps(items) if name.endswith(".json") else "".join(json.dumps(i) + "\n" for i in items))
    return path


def test_a_stage_and_its_traps(tmp_path: Path) -> None:
    late = {**STAGE, "idx": 1, "task": "tvg", "solution": [[100, 110.5]], "problem": "When does 'it's late' happen?"}
    path = save(tmp_path, [STAGE, late, {**SHORT, "idx": 2, "solution": [[38, 13], [1, 1]]}, {**STAGE, "idx": 0}])
    result = clean(path, museg.records(path))
    two = (Span(5.0, 58.8), Span(58.8, 107.0))
    assert result.samples == (
        Sample("stage_1:0", "videos/hacs/a.mp4", 108.0, "rafting", two, kind="tal"),
        Sample("stage_1:1", "videos/hacs/a.mp4", 108.0, "it's late", (Span(100.0, 108.0),), kind="tvg"),
        Sample("stage_1:0#2", "videos/hacs/a.mp4", 108.0, "rafting", two, kind="tal"),
    )
    assert result.report.noted == ((1, "windows touch or overlap"), (3, "windows are not in order of time"),
                                   (4, "windows touch or overlap"))  # fmt: skip
    assert result.report.refused == ((3, "video has no length"), (3, "window is reversed"), (3, "window is empty"))
    assert result.report.num_refused == 1


@pytest.mark.parametrize(
    ("question", "query"),
    [
        ("Give you a text: 'washing the person's hands'. When?", "washing the person's hands"),
        ("Where are 'the dogs' bones' shown?", "the dogs' bones"),
        ("The sentence 'cameraman's hand comes' is in it.", "cameraman's hand comes"),
        ("All events of the category: 'cricket bowling'.", "cricket bowling"),
        ("Here is the textual sentence: the dog's owner says 'no'.", "the dog's owner says 'no'."),
        ("Where is the dog's bone?", "Where is the dog's bone?"),
    ],
)
def test_the_sentence_within_the_question(question: str, query: str, tmp_path: Path) -> None:
    path = save(tmp_path, [{"video": "thumos14/a.mp4", "question": question, "groundtruth": [[1, 2]]}], "bench.json")
    (record,) = museg.records(path)
    assert (record.sample_id, record.query, record.kind) == ("bench:0", query, "")
    assert bool(record.noted) == (question == query)


def test_lengths_from_a_second_file(tmp_path: Path) -> None:
    table = tmp_path / "lengths.csv"
    table.write_text("id,length\na,90.5\n")
    path = save(tmp_path, [STAGE, {**SHORT, "idx": 1}, {**SHORT, "idx": 2, "video": "b.mp4"}])
    assert [record.duration_s for record in museg.records(path, table)] == [108.0, 90.5, None]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"solution": "1-2"}, r"solution must be a list of \[start, end\]"),
        ({"problem": None}, "problem must be a text"),
        ({"idx": None}, "idx must be a text"),
        ({"duration": "9"}, "duration must be a number"),
        ({"task": "two words"}, "task must be a text of letters"),
    ],
)
def test_a_broken_line_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"stage_1\.jsonl:2: {message}"):
        list(museg.records(save(tmp_path, [STAGE, {**STAGE, **change}])))


FOLDER = "data/annotations/museg__THUNLP-MT_MUSEG"
# lines; without duration, windows with s >= e, late windows, records whose windows touch or overlap
WHOLE = {"stage_1": (5600, (2819, 2, 197, 54)), "stage_2": (7000, (3518, 5, 217, 66))}


@pytest.mark.parametrize("name", WHOLE)
def test_the_originals_of_training(name: str, shared: Path) -> None:
    path = shared / FOLDER / f"{name}.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    found = list(museg.records(path))
    assert [[[*w] for w in record.windows or ()] for record in found] == [line["solution"] for line in lines]
    assert all(f"'{record.query}'" in line["problem"] for record, line in zip(found, lines, strict=True))
    assert not [where for record in found for where in record.noted]
    report = clean(path, found).report
    counts = (
        sum(why == "video has no length" for _, why in report.refused),
        sum(why in ("window is empty", "window is reversed") for _, why in report.refused),
        len(report.clipped),
        sum(why == "windows touch or overlap" for _, why in report.noted),
    )
    late = sum(end > line["duration"] for line in lines if "duration" in line for _, end in line["solution"])
    assert counts[:3] == (
        sum("duration" not in line for line in lines),
        sum(start >= end for line in lines for start, end in line["solution"]),
        late,
    )
    num_lines, told = WHOLE[name]
    assert len(lines) != num_lines or counts == told


@pytest.mark.parametrize("name", ["thumos14", "thumos15", "charades_sta"])
def test_the_original_benchmarks(name: str, shared: Path) -> None:
    path = shared / FOLDER / f"{name}.json"
    items = json.loads(path.read_text())
    found = list(museg.records(path))
    assert [[[*w] for w in record.windows or ()] for record in found] == [item["groundtruth"] for item in items]
    assert all(record.query and record.query in item["question"] for record, item in zip(found, items, strict=True))
    assert not [note for record in found for note in record.noted]
    assert name == "charades_sta" or max(len(record.query.split()) for record in found) <= 4
