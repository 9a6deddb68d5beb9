import json
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.data.annotations import per_video
from tvg_lightning.data.annotations.records import Record
from tvg_lightning.schema import Span

GOATS = {"duration": 40, "timestamps": [[0, 9.5], [30, 12]], "sentences": [" a goat eats ", "it sleeps"], "extra": 0}


def save(folder: Path, videos: Any) -> Path:
    path = folder / "goats.json"
    path.write_text(json.dumps(videos, indent=1), encoding="utf-8")
    return path


def test_sentences_are_counted_within_their_video(tmp_path: Path) -> None:
    path = save(tmp_path, {"v_a": GOATS, "b.mkv": {**GOATS, "timestamps": [[1, 2]], "sentences": ["a goat"]}})
    assert list(per_video.records(path)) == [
        Record("v_a_0", "v_a_0", "v_a.mp4", 40.0, " a goat eats ", (Span(0.0, 9.5),)),
        Record("v_a_1", "v_a_1", "v_a.mp4", 40.0, "it sleeps", (Span(30.0, 12.0),)),
        Record("b_0", "b_0", "b.mkv", 40.0, "a goat", (Span(1.0, 2.0),)),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"duration": None}, "duration must be a number"),
        ({"timestamps": [[0, 9.5]]}, "timestamps and sentences must be lists of one length"),
        ({"sentences": "a goat"}, "timestamps and sentences must be lists of one length"),
        ({"sentences": ["a goat", None]}, "sentences must be texts"),
        ({"timestamps": [[0, 9.5], [1]]}, "timestamps must hold"),
    ],
)
def test_a_broken_video_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = save(tmp_path, {"v_a": GOATS, "v_b": {**GOATS, **change}})
    with pytest.raises(ValueError, match=rf"goats\.json:v_b: {message}"):
        list(per_video.records(path))


@pytest.mark.parametrize("videos", [[GOATS], {"v_a": [1, 2]}, {"v_a": {"duration": 40}}])
def test_another_form_is_named(videos: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"goats\.json.*: another form: "):
        list(per_video.records(save(tmp_path, videos)))


def test_a_video_that_stands_twice_is_not_dropped(tmp_path: Path) -> None:
    path = tmp_path / "goats.json"
    path.write_text(f'{{"v_a": {json.dumps(GOATS)}, "v_a": {json.dumps(GOATS)}}}')
    with pytest.raises(ValueError, match=r"goats\.json: the key 'v_a' stands twice"):
        list(per_video.records(path))
