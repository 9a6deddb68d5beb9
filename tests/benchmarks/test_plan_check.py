"""The plan against real steps, each measured in a process of its own."""

import pytest

from benchmarks.plan_check import CASES, Compared, compare_apart


def test_the_difference_by_hand() -> None:
    found = Compared({"rollout": 1.0, "backward": 2.0}, {"rollout": 1.5, "backward": 1.8})
    assert found.off == pytest.approx(-0.1)


def check(index: int) -> None:
    found = compare_apart(index)
    assert abs(found.off) < 0.15, found


@pytest.mark.slow
def test_a_step_of_the_tiny_policy_needs_what_is_planned() -> None:
    check(0)


# one of each kind of formula; ``python -m benchmarks.plan_check`` measures all
KINDS = (1, 2, 3, 5, 6, 13, 17, 20)


@pytest.mark.slow
@pytest.mark.parametrize("index", KINDS, ids=[CASES[index].name for index in KINDS])
def test_a_step_needs_what_is_planned(index: int) -> None:
    check(index)
