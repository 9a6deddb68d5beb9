"""The pager by the keys that are pressed."""

import io
from dataclasses import replace

from tests.builders import GOOD_TRACE
from tvg_lightning.browsing.pager import page
from tvg_lightning.browsing.screens import Look
from tvg_lightning.browsing.selection import Group, Judged
from tvg_lightning.failures import Verdict

LOOK = Look(has_texts=False)


def groups(num: int, num_completions: int = 1) -> list[Group]:
    made = [replace(GOOD_TRACE, step=step, text=f"text {step}") for step in range(num)]
    return [[Judged(replace(trace, rollout=k), Verdict(None), True) for k in range(num_completions)] for trace in made]


def pressed(keys: list[str], given: list[Group], height: int = 24) -> tuple[list[str], int]:
    """What stands on each screen, and how many groups were read."""
    out = io.StringIO()
    left = iter(keys)
    num = page(iter(given), LOOK, lambda: (100, height), lambda: next(left, "q"), out)
    return out.getvalue().split("\x1b[2J\x1b[H")[1:], num


def test_pages_forth_and_back_and_reads_no_more_than_is_asked_for() -> None:
    screens, num = pressed([" ", "n", "b", "\x1b[D", "p"], groups(9))
    assert [screen.split(", ")[1] for screen in screens] == ["step 0", "step 1", "step 2", "step 1", "step 0", "step 0"]
    assert num == 3 and "group 3 ·" in screens[2]


def test_the_last_group_is_said() -> None:
    screens, num = pressed([" ", " ", " "], groups(2))
    assert num == 2 and "step 1" in screens[2] and "group 2 (the last)" in screens[2]
    assert pressed([], []) == ([], 0)


def test_long_groups_scroll() -> None:
    screens, _ = pressed(["j", "j", "k"] + 40 * ["j"], groups(1, num_completions=8), height=11)
    assert "lines 1 to 10 of 28" in screens[0] and "lines 2 to 11 of 28" in screens[3]
    assert "lines 19 to 28 of 28" in screens[-1]
    assert all(screen.count("\n") <= 10 for screen in screens)


def test_texts_come_and_go() -> None:
    screens, _ = pressed(["t", "t"], groups(1))
    assert ["text 0" in screen for screen in screens] == [False, True, False]
