import json
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.data.annotations import tvg_r1
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.schema import Sample, Span


def save(folder: Path, *items: Any) -> Path:
    path = folder / "rl.json"
    path.write_text(json.dumps(items))
    return path


def test_the_names_a_value_may_stand_under(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        {"video": "a/goat.mp4", "query": "a goat eats", "span": [1, 2.5], "duration": 9},
        {"vid": "goat", "question": "who eats?", "answer": "From <s0> to <e0>", "span": [[3, 4]], "duration": 9},
        {"video": "goat", "sentence": "a goat", "timestamp": [1, 12], "duration": 9, "qid": "g"},
        {"video": "goat", "problem": "a goat", "answer": "[1.0, 4.0]", "duration": 9, "id": "g"},
    )
    result = clean(path, tvg_r1.records(path))
    assert result.samples == (
        Sample("rl:0", "a/goat.mp4", 9.0, "a goat eats", (Span(1.0, 2.5),)),
        Sample("rl:1", "goat.mp4", 9.0, "who eats?", (Span(3.0, 4.0),)),
        Sample("g", "goat.mp4", 9.0, "a goat", (Span(1.0, 9.0),)),
        Sample("g#2", "goat.mp4", 9.0, "a goat", (Span(1.0, 4.0),)),
    )
    assert result.report.num_clipped == result.report.num_fixed == 1


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            {"video": "g", "query": "q", "duration": 9},
            "another form: one of span, timestamp, .* is needed, found video",
        ),
        ({"query": "q", "span": [1, 2], "duration": 9}, "another form: one of video, vid, video_path is needed"),
        ({"video": "g", "query": "q", "span": [1, 2]}, "another form: duration missing"),
        ({"video": "g", "query": "q", "answer": "1 to 2", "duration": 9}, "answer must be a list"),
        ({"video": "g", "query": "q", "answer": "3", "duration": 9}, "answer must be a list"),
    ],
)
def test_a_broken_item_is_named(item: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"rl\.json:item 0: {message}"):
        list(tvg_r1.records(save(tmp_path, item)))
