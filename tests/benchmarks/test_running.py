"""What the sides of a comparison measured, joined and kept."""

import json
from pathlib import Path

import pytest

from benchmarks.sides.running import joined, keep, median_of, same_work, with_spread
from benchmarks.sides.work import Measured


def measured(*seconds: float, peak_gib: float = 1.0, new_tokens: int = 32) -> Measured:
    phases = {"rollout": [s / 2 for s in seconds], "loss": [s / 4 for s in seconds]}
    return Measured(100, 64, new_tokens, list(seconds), list(seconds), phases, peak_gib, 0.5, 7)


def test_rounds_are_joined() -> None:
    side = joined([measured(3.0, 1.0), measured(2.0, peak_gib=4.0)])
    assert side["median_s"] == 2.0 and side["spread_s"] == [1.0, 3.0] and side["peak_gib"] == 4.0
    assert median_of(side, "rollout") == 1.0 and median_of(side, "rollout", "loss") == 1.5
    assert with_spread(side["seconds"]) == "2.00 (1.00 to 3.00)"


def test_other_work_is_no_comparison() -> None:
    same_work(joined([measured(1.0)]), joined([measured(2.0)]))
    with pytest.raises(AssertionError, match="new_tokens: 32 and 31"):
        same_work(joined([measured(1.0)]), joined([measured(1.0, new_tokens=31)]))


def test_a_benchmark_leaves_the_results_of_others(tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    keep("one", [{"x": 1}], out)
    keep("two", [{"x": 2}], out)
    keep("one", [{"x": 3}], out)
    results = json.loads(out.read_text(encoding="utf-8"))
    assert {name: result["cases"][0]["x"] for name, result in results.items()} == {"one": 3, "two": 2}
    assert results["one"]["machine"]["torch"]
