import json
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.rewards.iou import iou_reward
from tvg_lightning.rewards.set_iou import set_iou_reward
from tvg_lightning.schema import Span
from tvg_lightning.span_sets import covered_s


@pytest.mark.parametrize(
    ("spans", "windows", "reward"),
    [
        ([Span(2, 6)], [Span(2, 6)], 1.0),
        ([Span(0, 2), Span(4, 6)], [Span(0, 2)], 0.5),
        ([Span(0, 4)], [Span(2, 6)], 2 / 6),
        ([Span(0, 2)], [Span(2, 6)], 0.0),
        ([], [], 1.0),  # rightly said to be absent
        ([], [Span(2, 6)], 0.0),
        ([Span(2, 6)], [], 0.0),
        (None, [Span(2, 6)], 0.0),
        (None, [], 0.0),  # unreadable is not the same as empty
        ([Span(6, 2)], [], 0.0),  # and neither is a reversed window
        ([Span(6, 2), Span(2, 6)], [Span(2, 6)], 1.0),
        ([Span(0, 4)], [Span(0, 4), Span(2, 6)], 4 / 6),  # TimeLens2's release pays 1 for this part of the truth
        ([Span(0, float("inf"))], [Span(2, 6)], 0.0),
    ],
)
def test_hand_computed(spans: list[Span] | None, windows: list[Span], reward: float) -> None:
    assert set_iou_reward(spans, windows) == reward


window_lists = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 60)).map(lambda t: Span(float(t[0]), float(t[0] + t[1]))), max_size=4
)


@given(window_lists, window_lists)
def test_bounded_symmetric_and_for_one_window_each_the_iou_reward(spans: list[Span], windows: list[Span]) -> None:
    reward = set_iou_reward(spans, windows)
    assert 0.0 <= reward <= 1.0
    assert reward == set_iou_reward(windows, spans) == set_iou_reward(spans[::-1], windows[::-1])
    if len(spans) == len(windows) == 1:
        assert reward == iou_reward(spans[0], windows)


def shared_s(a: Span, b: Span) -> float:
    return max(0.0, min(a.end_s, b.end_s) - max(a.start_s, b.start_s))


def hundredths(spans: list[Span]) -> set[int]:
    """The hundredths of a second in which a set lies; all times of the cases are whole ones."""
    return {k for start_s, end_s in spans for k in range(round(100 * start_s), round(100 * end_s))}


def test_the_rewards_of_timelens2(shared: Path) -> None:
    """289 of 300 agree. In the other 11 true windows overlap: theirs is what counting twice gives, ours is not."""
    cases = json.loads((shared / "data/oracles/timelens2_rewards.json").read_text(encoding="utf-8"))["interval_cases"]
    agree = 0
    for case in cases:
        spans, windows = ([Span(*window) for window in case[key]] for key in ("pred", "gt"))
        ours, theirs = set_iou_reward(spans, windows), case["values"]["tiou"]
        if ours == pytest.approx(theirs, abs=1e-9):
            agree += 1
            continue
        assert any(shared_s(a, b) for a, b in combinations(windows, 2)), case["id"]
        (answer,) = spans  # one window in each of these cases
        twice_s = sum(shared_s(answer, window) for window in windows)
        union_s = covered_s(spans) + sum(end_s - start_s for start_s, end_s in windows) - twice_s
        assert theirs == pytest.approx(min(1.0, twice_s / union_s), abs=1e-9), case["id"]
        p, t = hundredths(spans), hundredths(windows)
        assert ours == pytest.approx(len(p & t) / len(p | t), abs=1e-9), case["id"]
        assert ours < theirs
    assert (agree, len(cases)) == (289, 300)
