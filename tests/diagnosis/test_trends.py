"""First against last by hand, scripts of languages, and rewards that never change."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import GOOD_TRACE
from tvg_lightning.diagnosis.trends import Ranges, Trend, foreign_letters
from tvg_lightning.traces import Trace


def traces(*lengths: int) -> list[Trace]:
    return [replace(GOOD_TRACE, num_tokens=length, step=step) for step, length in enumerate(lengths)]


def trend(window: int, *lengths: int) -> Trend:
    found = Trend(lambda trace: float(trace.num_tokens), window)
    for trace in traces(*lengths):
        found.add([trace])
    return found


def test_means_of_the_first_and_the_last() -> None:
    found = trend(2, 1, 3, 100, 100, 5, 9)
    assert (found.num, found.means()) == (2, (2.0, 7.0))
    assert [trace.step for trace, _ in found.last] == [4, 5]


def test_what_is_first_is_never_last() -> None:
    found = trend(4, 1, 3, 9)
    assert (found.num, found.means()) == (1, (1.0, 9.0))
    assert trend(4, 1).means() == (0.0, 0.0) == trend(4).means()


@given(st.lists(st.integers(0, 50), min_size=2), st.integers(1, 9))
def test_means_are_those_of_slices(lengths: list[int], window: int) -> None:
    num = min(window, len(lengths) // 2)
    first, last = lengths[:num], lengths[-num:]
    assert trend(window, *lengths).means() == pytest.approx((sum(first) / num, sum(last) / num))


def test_constant_parts_of_the_reward() -> None:
    ranges = Ranges()
    parts = [{"format": 1.0, "iou": 0.0}, {"format": 1.0, "iou": 0.5}, {"format": 1.0, "iou": 0.5, "rare": 0.0}]
    ranges.add([replace(GOOD_TRACE, rewards=rewards) for rewards in parts])
    assert ranges.constant(fewest=3) == {"format": 1.0} and ranges.constant(fewest=1) == {"format": 1.0, "rare": 0.0}
    assert ranges.constant(fewest=4) == {}


@pytest.mark.parametrize(
    ("text", "query", "share"),
    [
        ("It rises.", "The red circle rises.", 0.0),
        ("<think>圆升起</think><answer>1 to 2</answer>", "The circle rises.", 3 / 5),
        ("Le cercle s'élève.", "The circle rises.", 0.0),  # another language in the same script
        ("圆升起", "圆升起。", 0.0),
        ("まるが上がる", "円", 0.0),
        ("It rises", "圆升起", 1.0),
        ("круг 12.5", "The circle rises.", 1.0),
        ("ab\U0001f431\ufffd", "The circle rises.", 0.5),
        ("1.0 – 2.0 “…”", "The circle rises.", 0.0),
        ("abж", "12", 1 / 3),  # a query without letters is taken for Latin
        ("", "The circle rises.", 0.0),
    ],
)
def test_letters_of_another_script(text: str, query: str, share: float) -> None:
    assert foreign_letters(text, query) == pytest.approx(share)
