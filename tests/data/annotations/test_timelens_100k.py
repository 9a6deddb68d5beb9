import json
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.data.annotations import timelens_100k
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.schema import Sample, Span

EVENTS = [{"query": "a dog jumps ", "span": [[2, 5], [20.0, 24.5]]}, {"query": "it sleeps", "span": [7, 12]}]
VIDEO: dict[str, Any] = {"source": "didemo", "video_path": "didemo/x.mp4", "duration": 30, "events": EVENTS}


def save(folder: Path, *lines: Any) -> Path:
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_every_event_is_a_record(tmp_path: Path) -> None:
    path = save(tmp_path, {**VIDEO, "events": []}, VIDEO, {**VIDEO, "video_path": "hirest/y"})
    result = clean(path, timelens_100k.records(path))
    assert result.samples[:2] == (
        Sample("train:1_0", "didemo/x.mp4", 30.0, "a dog jumps", (Span(2.0, 5.0), Span(20.0, 24.5))),
        Sample("train:1_1", "didemo/x.mp4", 30.0, "it sleeps", (Span(7.0, 12.0),)),
    )
    assert [sample.video for sample in result.samples[2:]] == ["hirest/y.mp4"] * 2
    assert [where for where, why in result.report.fixed if "folder of frames" in why] == ["3 event 0", "3 event 1"]
    assert [where for where, why in result.report.fixed if "blanks" in why] == ["2 event 0", "3 event 0"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"events": {}}, "2: events must be a list"),
        ({"events": [7]}, "2 event 0: another form: an object with query, span"),
        ({"events": [*EVENTS, {"query": "q"}]}, "2 event 2: another form: span missing"),
        ({"events": [{"query": "q", "span": "1-2"}]}, r"2 event 0: span must be a list of \[start, end\]"),
        (
            {"events": [{"query": "q", "span": [[1, 2]], "rollouts": "x"}]},
            "2 event 0: rollouts must be a list of texts",
        ),
        ({"duration": None}, "2 event 0: duration must be a number"),
        ({"video_path": ""}, "2 event 0: video_path must be a text"),
    ],
)
def test_a_broken_line_is_named_with_its_event(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"train\.jsonl:{message}"):
        list(timelens_100k.records(save(tmp_path, VIDEO, {**VIDEO, **change})))


def test_the_form_of_the_loader(shared: Path) -> None:
    path = shared / "data/annotations/timelens_forms__written_by_hand/timelens_100k_form.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    found = list(timelens_100k.records(path))
    assert [record.query for record in found] == [event["query"] for line in lines for event in line["events"]]
    assert len(clean(path, found).samples) == len(found) and len({record.sample_id for record in found}) == len(found)
