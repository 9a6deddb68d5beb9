"""OraRL's advantages: by hand, by property, and beside the values of its release."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.oracle import OracleSettings, corrected, kept_rows, oracle_group, raw_advantages

SETTINGS = OracleSettings()


def test_raw_advantages_by_hand() -> None:
    """Mean 1/4; S^2 = (9/16 + 3/16) / 3 = 1/4, with the oracle's (2 of 5 rows are 1) 6/5 / 4 = 0.3."""
    policy, oracle, gain = raw_advantages([1.0, 0.0, 0.0, 0.0], 1.0, SETTINGS)
    assert gain == pytest.approx((math.sqrt(0.3) / (0.5 + 1e-6)) ** 0.25)
    shift = (0.75 * gain - 0.75) / 4
    assert policy == pytest.approx([0.75 * gain - shift, *[-0.25 - shift] * 3])
    assert oracle == pytest.approx(min(2.0 * 0.75**2, 1.2 * policy[0]), rel=1e-5)


def test_an_oracle_that_is_no_better_teaches_nothing() -> None:
    assert raw_advantages([0.5, 0.9], 0.7, SETTINGS)[1] == 0.0
    assert raw_advantages([0.0, 0.9], 0.0, SETTINGS)[1] == 0.0


def test_a_group_of_equal_rewards_teaches_the_oracle() -> None:
    """All 0, the oracle 1: no advantage is positive, so the cap is 0.05; kept are three zeros and it."""
    group = oracle_group([0.0] * 8, 1.0, SETTINGS)
    assert group.rows == (0, 1, 2, 8) and group.gain == 4.0
    assert group.advantages == pytest.approx([-0.0125, -0.0125, -0.0125, 0.0375])


def test_rows_are_kept_by_sign_and_size() -> None:
    assert kept_rows([0.1, -0.2, 0.3, -0.4, 0.0, 0.2, -0.1, -0.3], 4) == [2, 3, 7]
    assert kept_rows([0.3, 0.3, -0.1, -0.1, -0.1], 4) == [0, 2, 3], "ties by row"
    assert kept_rows([0.1, 0.4, 0.3, -0.9], 4) == [1, 2, 3], "a sign that runs short is filled by size"
    assert kept_rows([0.0, 0.0, 0.4, 0.0, -0.4], 5) == [0, 1, 2, 4], "then by zeros in their order"


def test_correction_by_hand() -> None:
    """(-0.1, 0.3) - 0.1 = (-0.2, 0.2), whose rms 0.2 shrinks to the 0.1 of before, and no further than to a quarter."""
    assert corrected([-0.1], 0.3, 0.1, 0.5) == pytest.approx((-0.1, 0.1), rel=1e-4)
    assert corrected([-0.1], 0.3, 0.01, 0.5) == pytest.approx((-0.05, 0.05), rel=1e-4)
    assert corrected([-0.1], 0.3, 9.0, 0.5) == pytest.approx((-0.2, 0.2)), "never grows"
    assert corrected([-0.1], 0.3, 0.01, 9e-4) == pytest.approx((-0.2, 0.2)), "equal rewards have no scale"


def test_a_negative_oracle_becomes_zero_and_the_others_pay() -> None:
    """Mean 0.2 leaves (0.4, 0, -0.2) with -0.2 of the oracle, which two rows share."""
    assert corrected([0.6, 0.2], 0.0, 9.0, 0.5) == pytest.approx(
        [0.6 - 0.8 / 3 - 0.4 / 3, 0.2 - 0.8 / 3 - 0.4 / 3, 0.0]
    )


rewards = st.lists(st.integers(0, 8).map(lambda k: k / 8), min_size=4, max_size=16)


@given(rewards, st.integers(0, 8).map(lambda k: k / 8), st.sampled_from([0.0, 0.25, 0.5]))
def test_any_group(rewards: list[float], oracle: float, prune: float) -> None:
    settings = OracleSettings(prune=prune)
    group = oracle_group(rewards, oracle, settings)
    assert len(group.rows) == len(group.advantages) == settings.num_rows(len(rewards))
    assert list(group.rows) == sorted(set(group.rows)) and group.rows[-1] == len(rewards), "the oracle is always kept"
    assert group.oracle_advantage >= 0.0 and 1.0 <= group.gain <= 4.0
    policy, _, _ = raw_advantages(rewards, oracle, settings)
    assert abs(math.fsum(policy)) < 1e-12
    if prune:
        assert abs(math.fsum(group.advantages)) < 1e-9
    order = sorted(range(len(rewards)), key=lambda row: rewards[row])
    assert all(policy[a] <= policy[b] + 1e-12 for a, b in pairwise(order)), "better is not lower"


def test_the_advantages_of_the_release(shared: Path) -> None:
    """All 300 groups of 4 to 16: before pruning, the rows that are kept, and after the correction."""
    cases = json.loads((shared / "data/oracles/orarl_advantages.json").read_text(encoding="utf-8"))["cases"]
    assert len(cases) == 300
    for case in cases:
        size, at = case["n"], case["oracle_index"]
        rewards, oracle_reward = case["policy_rewards"], case["oracle_reward"]
        policy, oracle, gain = raw_advantages(rewards, oracle_reward, SETTINGS)
        assert gain == pytest.approx(case["gain"], abs=1e-6), case["id"]
        assert [*policy[:at], oracle, *policy[at:]] == pytest.approx(case["advantages"], abs=1e-6), case["id"]
        group = oracle_group(rewards, oracle_reward, SETTINGS)
        place = {row: at if row == size else row + (row >= at) for row in group.rows}  # theirs may be anywhere
        ours = sorted((place[row], advantage) for row, advantage in zip(group.rows, group.advantages, strict=True))
        picked = [row for row, _ in ours]
        if picked == case.get("selected_rows_float32"):
            continue  # a tie that single precision breaks in another way
        assert picked == case["selected_rows"], case["id"]
        assert [a for _, a in ours] == pytest.approx(case["final_advantages"], abs=1e-6), case["id"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"prune": 1.0}, "prune must be below 1"),
        ({"prune": -0.1}, "prune must be a number of 0 or more"),
        ({"weight": math.nan}, "weight must be a number of 0 or more"),
        ({"max_gain": 0.5}, "max_gain must be at least 1"),
        ({"min_cap": 2.0}, "min_cap is 2.0, above max_cap 1.0"),
    ],
)
def test_constants_that_cannot_be_are_refused(change: dict[str, float], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        OracleSettings(**change)


def test_pruning_must_leave_a_completion() -> None:
    OracleSettings().check_group(4)
    with pytest.raises(ValueError, match="leaves 1 of the rows of 3 completions and the oracle"):
        OracleSettings().check_group(3)
