import json
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.data.annotations import timelens_bench
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.schema import Sample, Span


def save(folder: Path, videos: dict[str, Any]) -> Path:
    path = folder / "bench.json"
    path.write_text(json.dumps(videos))
    return path


def test_what_their_scorer_would_lose_is_noted(tmp_path: Path) -> None:
    spans = [[0, 4.5], [0.0, 4.5], [3.0, 9.0], [1, 2], [8, 12]]
    queries = ["A goat  eats.", " .A goat eats", "A goat eats.", "a >>> b", "it sleeps"]
    videos = {"x_6.0_9.0": {"duration": 10, "spans": spans, "queries": queries}, "v_no": _EMPTY}
    path = save(tmp_path, videos)
    result = clean(path, timelens_bench.records(path))
    assert result.samples[0] == Sample("x_6.0_9.0_0", "x_6.0_9.0.mp4", 10.0, "A goat eats.", (Span(0.0, 4.5),))
    assert [sample.sample_id for sample in result.samples] == [f"x_6.0_9.0_{k}" for k in range(5)]
    assert result.report.noted == (
        ("x_6.0_9.0_1", "query and span stand here again: TimeLens's scorer counts them once"),
        ("x_6.0_9.0_3", ">>> in the query: TimeLens's scorer cannot read its key"),
    )
    assert result.report.clipped == (("x_6.0_9.0_4", "(8.0, 12.0) cut to (8.0, 10.0)"),)


_EMPTY: dict[str, Any] = {"duration": 95.07, "spans": [], "queries": []}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spans": [[1, 2]]}, "spans and queries must be lists of one length"),
        ({"spans": [[1]], "queries": ["q"]}, r"spans must hold \[start, end\]"),
        ({"spans": [[1, 2]], "queries": [7]}, "queries must be texts"),
        ({"duration": "9"}, "duration must be a number"),
    ],
)
def test_a_broken_video_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"bench\.json:g: {message}"):
        list(timelens_bench.records(save(tmp_path, {"g": {**_EMPTY, **change}})))


def test_the_form_of_the_loader(shared: Path) -> None:
    path = shared / "data/annotations/timelens_forms__written_by_hand/timelens_bench_form.json"
    videos = json.loads(path.read_text())
    found = list(timelens_bench.records(path))
    assert [record.query for record in found] == [query for video in videos.values() for query in video["queries"]]
    assert [list(record.windows[0]) for record in found if record.windows] == [
        span for video in videos.values() for span in video["spans"]
    ]
