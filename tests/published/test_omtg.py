"""OMTG's benchmark: what its parser reads, and its metrics as released, by hand and against its own code."""

import json
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.metrics.sets import set_scores
from tvg_lightning.published.omtg import merged_in_place, read_omtg_benchmark
from tvg_lightning.schema import Span


def oracle(shared: Path) -> Any:
    return json.loads((shared / "data/oracles/omtg_metrics.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("<time>1 - 2.5 seconds</time> and <TIME>4-5</TIME>", [(1, 2.5), (4, 5)]),
        ("<think><time>1 - 2 seconds</time></think><time>1 - 2 seconds</time>", [(1, 2), (1, 2)]),  # a thought's, too
        ("<time>00:12 - 01:05 seconds</time>", [(12, 65)]),
        ("<think>1 - 2</think> In 3 - 8 seconds, and 9 - 7 seconds.", [(3, 8)]),
        ("From 3 to 8 or 3 to 8", [(3, 8)]),  # none twice, but only here
        ("[[1, 4], [8.5, 12]]", [(1, 4), (8.5, 12)]),
        ("it starts at 3.5 seconds and ends at 9 seconds", [(3.5, 9)]),
        ("12.0 – 15.0 seconds", []),
        ("<time>9 - 3 seconds</time>", []),
        ("nothing", []),
    ],
)
def test_by_hand(text: str, windows: list[tuple[float, float]]) -> None:
    assert read_omtg_benchmark(text) == [Span(*window) for window in windows]


def test_it_reads_what_the_benchmark_reads(shared: Path) -> None:
    for case in oracle(shared)["text_cases"]:
        assert [list(span) for span in read_omtg_benchmark(case["text"])] == case["benchmark_segments"], case["text"]


def test_only_the_earliest_window_grows() -> None:
    windows = [Span(8, 9), Span(3, 5), Span(1, 3), Span(4, 7), Span(8.5, 12)]
    assert merged_in_place(windows) == [Span(1, 7), Span(3, 5), Span(4, 7), Span(8, 9), Span(8.5, 12)]
    assert merged_in_place([]) == []


def test_the_metrics_as_released_and_as_they_should_be(shared: Path) -> None:
    """Against its code on copies of its inputs, and as released; only where both are empty ours is 1, theirs 0."""
    num_spoilt = 0
    for case in oracle(shared)["set_cases"]:
        pred, truth = ([Span(*window) for window in case[key]] for key in ("pred", "gt"))
        released = case.get("benchmark_as_released", case["benchmark"])
        num_spoilt += released != case["benchmark"]
        for is_released, wanted in ((False, case["benchmark"]), (True, released)):
            scores = set_scores(pred, truth, as_released=is_released)
            for key, value in wanted.items():
                if key == "tIoU" and not truth and not is_released:
                    value = float(not pred)
                assert scores["set_IoU" if key == "tIoU" else key] == pytest.approx(value, abs=1e-9), (case, key)
    assert num_spoilt > 10
