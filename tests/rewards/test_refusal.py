import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.rewards.refusal import refusal_reward
from tvg_lightning.rewards.timestamp_iou import timestamp_iou_reward
from tvg_lightning.schema import Span


@pytest.mark.parametrize(
    ("spans", "windows", "reward"),
    [
        ([], [], 1.0),
        ([Span(2, 6)], [], 0.0),
        ([Span(6, 2)], [], 0.0),  # a window all the same
        (None, [], 0.0),  # RA-RFT's release pays 1 for an answer block that says nothing
        ([], [Span(2, 6)], 0.0),
        (None, [Span(2, 6)], 0.0),
        ([Span(2, 6)], [Span(2, 6)], 1.0),
        ([Span(0, 4)], [Span(2, 4)], 0.5 * 0.8),
        ([Span(0, 4)], [Span(7, 9), Span(2, 4)], 0.5 * 0.8),  # the window it fits best
        ([Span(8, 9), Span(2, 4)], [Span(2, 4)], 0.0),  # the first counts
        ([Span(0, 30)], [Span(1, 9)], 0.0),  # 21 s late in a video of 10 s: negative in the release
        ([Span(-20, 30)], [Span(1, 9)], 0.0),
        ([Span(0, math.inf)], [Span(1, 9)], 0.0),
    ],
)
def test_hand_computed(spans: list[Span] | None, windows: list[Span], reward: float) -> None:
    assert refusal_reward(spans, windows, duration_s=10.0) == pytest.approx(reward)


times = st.floats() | st.sampled_from((math.nan, math.inf, -math.inf, 1e308, -1e308, 2.0))
wild_sets = st.lists(st.builds(Span, times, times), max_size=3)


@given(st.none() | wild_sets, wild_sets)
def test_no_span_raises_or_leaves_the_range(spans: list[Span] | None, windows: list[Span]) -> None:
    assert 0.0 <= refusal_reward(spans, windows, 10.0) <= 1.0
    assert (refusal_reward(spans, [], 10.0) == 1.0) == (spans == [])


NUMBERS = re.compile(r"(?:00:)?(\d+(?:\.\d+)?)s? (?:to|and|-) (?:00:)?(\d+(?:\.\d+)?)")


def structured(case: dict[str, Any]) -> list[Span] | None:
    """The windows that a careful reader finds in the answer of a case."""
    if not case["answer"]:
        return None
    found = NUMBERS.search(case["answer"])
    if found is None or case["kind"] == "number_in_refusal":
        return []
    return [Span(float(found[1]), float(found[2]))]


# windows to us and no windows to their reader, so that they fail as answers and pass as refusals
UNREAD_BY_THEM = {"dash", "and", "unit"}


def test_the_rewards_of_ra_rft(shared: Path) -> None:
    """200 texts, judged as refusable and, all but 10, as answerable: the same but for the departures named here."""
    cases = json.loads((shared / "data/oracles/rarft_rewards.json").read_text(encoding="utf-8"))["cases"]
    agree: Counter[str] = Counter()
    for case in cases:
        spans, kind = structured(case), case["kind"]
        ours, theirs = refusal_reward(spans, [], case["duration"]), case["refuse_iou_refusable"]
        if kind in {*UNREAD_BY_THEM, "empty_answer"}:
            assert (ours, theirs) == (0.0, 1.0), case["id"]  # their loopholes
        elif kind == "number_in_refusal":
            assert (ours, theirs) == (1.0, 0.0), case["id"]  # "2 to 3 boxes" is no window
        else:
            assert ours == theirs, case["id"]
            agree["refusable"] += 1
        if case["gt"] is None:
            assert kind == "gt_none"  # answerable without a window: nothing to score against
            continue
        windows = [Span(*case["gt"])]
        ours, theirs = refusal_reward(spans, windows, case["duration"]), case["refuse_iou_answerable"]
        if kind in {*UNREAD_BY_THEM, "mmss"}:  # mmss: they read "10 to 00" out of "00:10 to 00:20"
            assert spans is not None
            assert ours == timestamp_iou_reward(spans[0], windows, case["duration"])
            assert theirs == 0.0, case["id"]
        elif kind == "number_in_refusal" and theirs > 0.0:
            assert ours == 0.0  # here the "2 to 3 boxes" happen to lie near the truth
            boxes = timestamp_iou_reward(Span(2, 3), windows, case["duration"])
            assert theirs == pytest.approx(boxes, abs=1e-9), case["id"]
        elif theirs < 0.0:
            assert (kind, ours) == ("over", 0.0), case["id"]  # beyond the video: they do not clamp
        else:
            assert ours == pytest.approx(theirs, abs=1e-9), case["id"]
            agree["answerable"] += 1
    assert agree == {"refusable": 150, "answerable": 140}
