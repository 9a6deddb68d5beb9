import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.rewards.wasserstein import wasserstein_reward
from tvg_lightning.schema import Span


@pytest.mark.parametrize(
    ("spans", "windows", "reward"),
    [
        ([Span(2, 6)], [Span(2, 6)], 1.0),
        ([Span(0, 2)], [Span(1, 3)], math.exp(-1 / 2)),
        ([Span(0, 4)], [Span(0, 8)], math.exp(-2 / 8)),  # relative to the truth's length,
        ([Span(0, 8)], [Span(0, 4)], math.exp(-2 / 4)),  # so that it matters which is the truth
        ([Span(3, 5)], [Span(0, 2), Span(6, 8)], math.exp(-2.5 / 4)),
        ([Span(3, 5)], [Span(0, 2), Span(6, 8), Span(0, 1)], math.exp(-2.5 / 4)),  # overlapping truths count once
        ([], [], 1.0),  # rightly said to be absent
        ([], [Span(2, 6)], 0.0),
        ([Span(2, 6)], [], 0.0),
        (None, [Span(2, 6)], 0.0),
        (None, [], 0.0),  # unreadable is not the same as empty
        ([Span(6, 2)], [], 0.0),  # and neither is a reversed window
        ([Span(0, math.inf)], [Span(2, 6)], 0.0),  # NaN in TimeLens2's release
        ([Span(0, math.inf), Span(2, 6)], [Span(2, 6)], 1.0),
        ([Span(0, 1e308)], [Span(2, 6)], 0.0),
        ([Span(5, 6)], [Span(0, 5e-324)], 0.0),  # a truth of almost no length: everything is far
    ],
)
def test_hand_computed(spans: list[Span] | None, windows: list[Span], reward: float) -> None:
    assert wasserstein_reward(spans, windows) == pytest.approx(reward, abs=1e-12)


times = st.floats() | st.sampled_from((math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 2.0))
wild_sets = st.lists(st.builds(Span, times, times), max_size=4)


@given(wild_sets, wild_sets)
def test_no_span_raises_or_leaves_the_range(spans: list[Span], windows: list[Span]) -> None:
    assert 0.0 <= wasserstein_reward(spans, windows) <= 1.0
    assert wasserstein_reward(spans[::-1], windows[::-1]) == wasserstein_reward(spans, windows)


@given(st.integers(0, 60), st.integers(1, 60), st.lists(st.integers(0, 300), min_size=1))
def test_every_step_away_costs_also_where_no_time_is_shared(start: int, length: int, drifts: list[int]) -> None:
    windows = [Span(start, start + length), Span(start + 2 * length, start + 4 * length)]
    steps = sorted({0, *drifts})
    rewards = [wasserstein_reward([Span(s + d, e + d) for s, e in windows], windows) for d in steps]
    assert rewards[0] == 1.0
    assert all(nearer > farther for nearer, farther in pairwise(rewards))


def test_the_rewards_of_timelens2(shared: Path) -> None:
    """All 300 sets of windows, and the windows of 61 texts but for the NaN that theirs makes of an Infinity."""
    oracle = json.loads((shared / "data/oracles/timelens2_rewards.json").read_text(encoding="utf-8"))
    assert len(oracle["interval_cases"]) == 300
    for case in oracle["interval_cases"]:
        spans, windows = ([Span(*window) for window in case[key]] for key in ("pred", "gt"))
        assert wasserstein_reward(spans, windows) == pytest.approx(case["values"]["twass1"], abs=1e-9), case["id"]
    read = [case for case in oracle["text_cases"] if case["accepted"]]
    assert len(read) == 61
    nan = 0
    for case in read:
        spans, windows = ([Span(*map(float, window)) for window in case[key]] for key in ("accepted", "gt"))
        ours = wasserstein_reward(spans, windows)
        if case["reward"] == "nan":
            assert ours == 0.0
            nan += 1
        else:
            assert ours == pytest.approx(case["reward"] - case["reward_tiou_only"], abs=1e-9), case["id"]
    assert nan == sum(case["kind"] == "inf" for case in read) > 0
