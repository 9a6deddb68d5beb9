"""The lists of the page: best, worst and most refined by their numbers, failures counted over all completions."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.builders import GOOD_TRACE, write_traces
from tvg_lightning.diagnosis.runs import groups_in
from tvg_lightning.pages.run_page import BEST, NUM_STEPS, REFINED, RIGHT, WORST, choose
from tvg_lightning.pages.tallies import Tallies
from tvg_lightning.schema import Span
from tvg_lightning.traces import Trace


def run_of(folder: Path, traces: Sequence[Trace]) -> Tallies:
    """A run's folder, and its tallies."""
    write_traces(folder / "traces" / "explore-rank0.jsonl", traces)
    tallies = Tallies()
    for group in groups_in(folder):
        tallies.add(group)
    return tallies


def test_lists_and_counts(tmp_path: Path) -> None:
    def trace(step: int, rollout: int, iou: float) -> Trace:
        first = 0.9 - 0.1 * step  # the earlier the anchor is off, the more is refined
        missed = (Span(30.0, 31.0),) if iou < 0.1 else GOOD_TRACE.spans
        return replace(
            GOOD_TRACE, step=step, rollout=rollout, sample_id=f"s{step}", reward=step + rollout, answer_iou=iou,
            anchor_ious=(first,), spans=missed,
        )  # fmt: skip

    traces = [trace(step, rollout, 0.9 * rollout) for step in range(4) for rollout in range(2)]
    shown = choose(tmp_path, 0, run_of(tmp_path, traces), ["s2"])
    assert shown.lists[BEST][0] == (3, 1) and shown.lists[WORST][0] == (0, 0)
    assert shown.lists[REFINED][0] == (3, 1)
    assert shown.counts == {RIGHT: 4, "truth missed": 4}
    assert sorted(shown.lists["truth missed"]) == [(0, 0), (1, 0), (2, 0), (3, 0)]
    assert shown.by_query == {"s2": [2]}
    assert [one["failure"] for one in shown.groups[2]["completions"]] == ["truth missed", ""]


def test_a_long_run_is_sampled(tmp_path: Path) -> None:
    traces = [replace(GOOD_TRACE, step=step, rollout=k) for step in range(400) for k in range(2)]
    shown = choose(tmp_path, 1, run_of(tmp_path, traces), ["s1"])
    assert len(shown.by_query["s1"]) == NUM_STEPS and shown.by_query["s1"][-1] == 399
    assert len(shown.groups) < 60 and shown.counts.total() == 800
    assert {group["run"] for group in shown.groups.values()} == {1}
