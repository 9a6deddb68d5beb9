import json
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.data.annotations import jsonl, timelens2_93k
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.schema import Sample, Span

GROUPED = {"video_path": "a.mp4", "duration": 90, "events": [{"query": "a cat", "span": [[1, 2], [2, 4], [6, 9]]}]}
FLAT: dict[str, Any] = {"video_path": "b.mp4", "duration": 44.0, "query": "a ball", "span": [[3.0, 4.0]]}
ROLLOUTS = ["[[3.0, 4.0]]", "no such event", ""]


def save(folder: Path, *lines: Any) -> Path:
    path = folder / "93k.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_both_forms_and_what_is_noted(tmp_path: Path) -> None:
    frames = {**FLAT, "video_path": "frames/c", "sample_fps": 4, "span": [[40, 60], [1, 2]]}
    path = save(tmp_path, GROUPED, {**FLAT, "rollouts": ROLLOUTS}, frames)
    result = clean(path, timelens2_93k.records(path))
    assert result.samples == (
        Sample("93k:0_0", "a.mp4", 90.0, "a cat", (Span(1.0, 2.0), Span(2.0, 4.0), Span(6.0, 9.0))),
        Sample("93k:1", "b.mp4", 44.0, "a ball", (Span(3.0, 4.0),), rollouts=tuple(ROLLOUTS)),
        Sample("93k:2", "frames/c.mp4", 44.0, "a ball", (Span(40.0, 44.0), Span(1.0, 2.0))),
    )
    why = "video is a folder of frames, which cannot be read: the file of its name with .mp4 is taken"
    assert result.report.fixed == ((3, why),)
    assert result.report.noted == (
        ("1 event 0", "windows touch or overlap"),
        (3, "windows are not in order of time"),
    )


def test_rollouts_go_through_our_own_form(tmp_path: Path) -> None:
    path = save(tmp_path, {**FLAT, "rollouts": [*ROLLOUTS, "half \ud83d"]})
    result = clean(path, timelens2_93k.records(path))
    assert result.samples[0].rollouts == (*ROLLOUTS, "half \ufffd")
    why = "what is no text (half an emoji, or NUL) in the rollouts: replaced by U+FFFD"
    assert result.report.fixed == ((1, why),)
    jsonl.write(tmp_path / "own.jsonl", result.samples)
    assert jsonl.read(tmp_path / "own.jsonl").samples == result.samples


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"span": None}, r"span must be a list of \[start, end\]"),
        ({"rollouts": [["3", "4"]]}, "rollouts must be a list of texts"),
        ({"query": 3}, "query must be a text"),
    ],
)
def test_a_broken_line_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"93k\.jsonl:2: {message}"):
        list(timelens2_93k.records(save(tmp_path, GROUPED, {**FLAT, **change})))


def test_the_forms_of_the_loader(shared: Path) -> None:
    path = shared / "data/annotations/timelens_forms__written_by_hand/timelens2_93k_form.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    result = clean(path, timelens2_93k.records(path))
    assert len(result.samples) == sum(len(line.get("events", [line])) for line in lines)
    assert [s.rollouts for s in result.samples if s.rollouts] == [
        tuple(r["rollouts"]) for r in lines if "rollouts" in r
    ]
    frames = [line for line in lines if not line["video_path"].endswith(".mp4")]
    assert frames and sum("folder of frames" in why for _, why in result.report.fixed) == len(frames)
