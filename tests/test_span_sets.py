import json
import math
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Tolerances
from tvg_lightning.schema import Span
from tvg_lightning.span_sets import covered_s, merged, set_iou, wasserstein_s
from tvg_lightning.spans import iou

# Quarters of a second: sums and differences are exact in floats, so equalities can be asked for.
quarters = st.integers(0, 400).map(lambda k: k / 4)
hundredths = st.integers(0, 9999).map(lambda k: k / 100)  # not exact, so the last bits tell one way from another
any_spans = st.builds(Span, hundredths, hundredths)  # also reversed ones and those of no length
usable_spans = st.builds(lambda start_s, quarters: Span(start_s, start_s + quarters / 4), quarters, st.integers(1, 100))
span_sets = st.lists(usable_spans, min_size=1, max_size=5)
times = st.floats() | st.sampled_from((math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 0.0, 2.0))
wild_spans = st.builds(Span, times, times)
wild_sets = st.lists(wild_spans, max_size=4)

UNUSABLE = [
    Span(2.0, 2.0),
    Span(3.0, 2.0),
    Span(math.nan, 2.0),
    Span(0.0, math.nan),
    Span(0.0, math.inf),
    Span(-math.inf, 1.0),
]


@pytest.mark.parametrize(
    ("spans", "joined"),
    [
        ([], []),
        ([Span(4, 6), Span(0, 2)], [Span(0, 2), Span(4, 6)]),
        ([Span(2, 4), Span(0, 2)], [Span(0, 4)]),  # touching
        ([Span(0, 9), Span(1, 2), Span(3, 4)], [Span(0, 9)]),  # the longest comes first
        ([Span(0, 2), Span(0, 2)], [Span(0, 2)]),
        ([*UNUSABLE, Span(0, 2)], [Span(0, 2)]),
    ],
)
def test_merged(spans: list[Span], joined: list[Span]) -> None:
    assert merged(spans) == joined
    assert covered_s(spans) == sum(end_s - start_s for start_s, end_s in joined)


@pytest.mark.parametrize(
    ("predictions", "truths", "score"),
    [
        ([], [], 1.0),
        ([], [Span(0, 2)], 0.0),
        ([Span(0, 2)], [], 0.0),
        ([Span(0, 4)], [Span(2, 6)], 2 / 6),
        ([Span(0, 4)], [Span(4, 6)], 0.0),  # touching
        ([Span(0, 2), Span(4, 6)], [Span(1, 5)], 2 / 6),
        ([Span(4, 6), Span(0, 2)], [Span(0, 2), Span(4, 6)], 1.0),
        ([Span(0, 2), Span(2, 4)], [Span(0, 4)], 1.0),
        ([Span(0, 4), Span(0, 4)], [Span(0, 4)], 1.0),  # saying it twice is no worse
        ([Span(0, 6)], [Span(0, 4), Span(2, 6), Span(8, 10)], 6 / 8),  # the 2 s that two truths share count once
    ],
)
def test_set_iou_by_hand(predictions: list[Span], truths: list[Span], score: float) -> None:
    assert set_iou(predictions, truths) == score


@pytest.mark.parametrize(
    ("predictions", "truths", "distance_s"),
    [
        ([], [], 0.0),
        ([], [Span(0, 2)], math.inf),
        ([Span(0, 2)], [], math.inf),
        ([Span(0, 2)], [Span(6, 8)], 6.0),
        ([Span(0, 4)], [Span(0, 8)], 2.0),  # each moment at share u moves by 4 u
        ([Span(3, 5)], [Span(0, 8)], 1.5),  # the difference changes its sign at 4 s, in the middle of a piece
        ([Span(0, 2), Span(6, 8)], [Span(3, 5)], 2.5),  # the first half by 3 s down to 2 s, the second as much back
        ([Span(0, 2), Span(1, 4)], [Span(0, 4)], 0.0),  # merged first: no second is denser than another
        ([Span(0, 4)], [Span(0, 4), Span(0, 4)], 0.0),
    ],
)
def test_wasserstein_by_hand(predictions: list[Span], truths: list[Span], distance_s: float) -> None:
    assert wasserstein_s(predictions, truths) == pytest.approx(distance_s, abs=1e-12)


@pytest.mark.parametrize("bad", UNUSABLE)
def test_a_set_of_unusable_spans_is_not_an_empty_set(bad: Span) -> None:
    assert set_iou([bad], []) == set_iou([], [bad]) == set_iou([bad], [bad]) == set_iou([bad], [Span(0, 1)]) == 0.0
    assert wasserstein_s([bad], []) == wasserstein_s([bad], [bad]) == wasserstein_s([bad], [Span(0, 1)]) == math.inf
    assert set_iou([bad, Span(0, 1)], [Span(0, 1)]) == 1.0
    assert wasserstein_s([bad, Span(0, 1)], [Span(0, 1)]) == 0.0


def test_times_too_large_for_a_float() -> None:
    endless = [Span(-1e308, 1e308)]
    assert set_iou(endless, endless) == 0.0  # as iou
    assert wasserstein_s(endless, endless) == math.inf
    ends = [Span(-1.1e308, -1e308)], [Span(1e308, 1.1e308)]
    assert set_iou(*ends) == 0.0
    assert wasserstein_s(*ends) == math.inf
    # a piece of infinite width, in which both have the same share behind them
    both = [Span(-1.1e308, -1e308), Span(1e308, 1.1e308)]
    assert set_iou(both, both) == 1.0
    assert wasserstein_s(both, both) == 0.0


@given(any_spans | wild_spans, any_spans | wild_spans)
def test_one_span_each_is_iou_to_the_last_bit(a: Span, b: Span) -> None:
    assert set_iou([a], [b]) == iou(a, b)


@given(wild_sets, wild_sets)
def test_no_span_raises_or_leaves_the_range(predictions: list[Span], truths: list[Span]) -> None:
    assert 0.0 <= set_iou(predictions, truths) <= 1.0
    assert wasserstein_s(predictions, truths) >= 0.0  # false for NaN
    assert set_iou(truths, predictions) == set_iou(predictions, truths)
    assert wasserstein_s(truths, predictions) == wasserstein_s(predictions, truths)


@given(span_sets, span_sets, st.randoms(use_true_random=False), quarters)
def test_neither_order_nor_a_shift_matters(
    predictions: list[Span], truths: list[Span], random: Random, shift_s: float
) -> None:
    shuffled = random.sample(predictions, len(predictions))
    assert set_iou(shuffled, truths) == set_iou(predictions, truths)
    assert wasserstein_s(shuffled, truths) == wasserstein_s(predictions, truths)
    moved = [[Span(s + shift_s, e + shift_s) for s, e in spans] for spans in (predictions, truths)]
    assert set_iou(moved[0], moved[1]) == set_iou(predictions, truths)
    assert wasserstein_s(moved[0], moved[1]) == pytest.approx(wasserstein_s(predictions, truths), abs=1e-9)
    assert wasserstein_s(moved[1], truths) == pytest.approx(shift_s, abs=1e-9)


@given(span_sets, span_sets)
def test_the_best_is_the_same_time_and_nothing_else(predictions: list[Span], truths: list[Span]) -> None:
    same = merged(predictions) == merged(truths)
    assert (set_iou(predictions, truths) == 1.0) == same
    assert (wasserstein_s(predictions, truths) == 0.0) == same
    assert set_iou(predictions, predictions) == 1.0
    assert wasserstein_s(predictions, predictions) == 0.0


@given(span_sets, span_sets, span_sets)
def test_a_detour_is_never_shorter(a: list[Span], b: list[Span], c: list[Span]) -> None:
    assert wasserstein_s(a, c) <= wasserstein_s(a, b) + wasserstein_s(b, c) + 1e-9


def mask_Q(spans: list[Span]) -> np.ndarray:
    """The quarters of a second that a set covers: a picture of it that knows no intervals."""
    covered = np.zeros(600, dtype=bool)
    for start_s, end_s in spans:
        covered[round(4 * start_s) : round(4 * end_s)] = True
    return covered


@given(span_sets, span_sets)
def test_set_iou_against_counted_quarters(predictions: list[Span], truths: list[Span]) -> None:
    p, t = mask_Q(predictions), mask_Q(truths)
    assert set_iou(predictions, truths) == (p & t).sum() / (p | t).sum()


@given(span_sets, span_sets)
def test_wasserstein_against_a_fine_integral(predictions: list[Span], truths: list[Span]) -> None:
    """Each quarter of a second cut into 64 slices; the shares before the slices' middles come from counting."""
    slices = 64
    shares = []
    for spans in (predictions, truths):
        mass = np.repeat(mask_Q(spans), slices).astype(float)
        shares.append((np.cumsum(mass) - mass / 2) / mass.sum())
    numerical_s = float(np.abs(shares[0] - shares[1]).sum()) * 0.25 / slices
    # wrong only in the slices in which the difference changes its sign: a slice's width squared each
    assert wasserstein_s(predictions, truths) == pytest.approx(numerical_s, abs=1e-3)


@given(span_sets, span_sets, st.integers(2, 9))
def test_both_scale_as_they_should(predictions: list[Span], truths: list[Span], factor: int) -> None:
    longer = [[Span(s * factor, e * factor) for s, e in spans] for spans in (predictions, truths)]
    assert set_iou(longer[0], longer[1]) == pytest.approx(set_iou(predictions, truths), abs=Tolerances().exact)
    assert wasserstein_s(longer[0], longer[1]) == pytest.approx(factor * wasserstein_s(predictions, truths))


def test_the_distances_of_timelens2(shared: Path) -> None:
    """All 300: the seconds where they give any, and where they give none a set without a usable window."""
    cases = json.loads((shared / "data/oracles/timelens2_rewards.json").read_text(encoding="utf-8"))["interval_cases"]
    assert len(cases) == 300
    for case in cases:
        predictions, truths = ([Span(*window) for window in case[key]] for key in ("pred", "gt"))
        distance_s = wasserstein_s(predictions, truths)
        if case["w1_seconds"] is None:
            assert distance_s == (math.inf if predictions or truths else 0.0), case["id"]
        else:
            assert distance_s == pytest.approx(case["w1_seconds"], abs=1e-9), case["id"]
