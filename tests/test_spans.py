import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.schema import Span
from tvg_lightning.spans import best_window, iou, iou_to_windows, is_usable, snapped, soft_iou

# Quarters of a second: sums and differences are exact in floats, so equalities can be asked for.
quarters = st.integers(0, 4000).map(lambda k: k / 4)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    start_s, length_s = draw(quarters), draw(st.integers(1, 400)) / 4
    return Span(start_s, start_s + length_s)


UNUSABLE = [
    None,
    Span(2.0, 2.0),
    Span(3.0, 2.0),
    Span(math.nan, 2.0),
    Span(0.0, math.inf),
    Span(-math.inf, 1.0),
]


@pytest.mark.parametrize(
    ("prediction", "truth", "hard", "soft"),
    [
        (Span(0, 4), Span(0, 4), 1.0, 1.0),
        (Span(0, 4), Span(2, 6), 2 / 6, 2 / 6),
        (Span(0, 2), Span(2, 4), 0.0, 0.0),  # touching
        (Span(0, 2), Span(6, 8), 0.0, -0.5),
        (Span(6, 8), Span(0, 2), 0.0, -0.5),
        (Span(1, 2), Span(0, 10), 0.1, 0.1),  # inside
        (Span(24.3, 30.4), Span(23.5, 30.0), 5.7 / 6.9, 5.7 / 6.9),
    ],
)
def test_hand_computed(prediction: Span, truth: Span, hard: float, soft: float) -> None:
    assert iou(prediction, truth) == pytest.approx(hard, abs=1e-12)
    assert soft_iou(prediction, truth) == pytest.approx(soft, abs=1e-12)


@pytest.mark.parametrize("bad", UNUSABLE)
def test_unusable_scores_zero_on_either_side(bad: Span | None) -> None:
    assert not is_usable(bad)
    assert iou(bad, Span(0, 4)) == soft_iou(bad, Span(0, 4)) == 0.0
    if bad is not None:
        assert iou(Span(0, 4), bad) == soft_iou(Span(0, 4), bad) == 0.0


def test_a_hull_too_long_for_a_float_scores_zero() -> None:
    endless = Span(-1e308, 1e308)
    assert soft_iou(endless, endless) == 0.0


def test_the_window_of_highest_iou_counts_not_the_first() -> None:
    windows = [Span(0, 2), Span(10, 14), Span(11, 20)]
    assert best_window(Span(10, 15), windows) == Span(10, 14)
    assert iou_to_windows(Span(10, 15), windows) == pytest.approx(0.8)


def test_equal_iou_goes_to_the_nearer_window_then_to_the_earlier() -> None:
    assert best_window(Span(20, 22), [Span(0, 2), Span(16, 18)]) == Span(16, 18)
    assert best_window(Span(10, 12), [Span(8, 10), Span(12, 14)]) == Span(8, 10)
    assert best_window(None, [Span(3, 4), Span(1, 2)]) == Span(3, 4)


def test_no_window_scores_zero() -> None:
    assert best_window(Span(0, 1), []) is None
    assert iou_to_windows(Span(0, 1), []) == 0.0


@given(spans(), spans())
def test_symmetric_bounded_and_equal_where_they_overlap(a: Span, b: Span) -> None:
    assert soft_iou(a, b) == soft_iou(b, a)
    assert -1.0 < soft_iou(a, b) <= 1.0
    assert iou(a, b) == max(0.0, soft_iou(a, b))


@given(spans(), spans(), quarters)
def test_shift_changes_nothing(a: Span, b: Span, shift_s: float) -> None:
    def moved(span: Span) -> Span:
        return Span(span.start_s + shift_s, span.end_s + shift_s)

    assert soft_iou(moved(a), moved(b)) == soft_iou(a, b)


@given(spans(), st.lists(quarters, min_size=2, max_size=6))
def test_drifting_away_never_helps(truth: Span, drifts_s: list[float]) -> None:
    scores = [soft_iou(Span(truth.start_s + d, truth.end_s + d), truth) for d in [0.0, *sorted(drifts_s)]]
    assert scores[0] == 1.0
    assert all(earlier >= later for earlier, later in pairwise(scores))


def test_the_metrics_published_with_time_r1(shared: Path) -> None:
    (path,) = shared.glob("data/annotations/tvgbench*/train_2k5.json")
    records = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(records, dict):
        records = list(records.values())
    assert len(records) == 2500
    for record in records:
        ours = 100 * iou(Span(*record["pred"]), Span(*record["timestamp"]))
        assert ours == pytest.approx(record["difficulty"], abs=1e-12)


def test_the_recall_published_with_moment_detr(shared: Path) -> None:
    (truth_path,) = shared.glob("data/annotations/qvhighlights*/highlight_val_release.jsonl")
    (prediction_path,) = shared.glob("data/predictions/qvhighlights*/standalone_eval/sample_val_preds.jsonl")
    truth = {}
    for line in truth_path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        truth[record["qid"]] = [Span(*window) for window in record["relevant_windows"]]
    scores = []
    for line in prediction_path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        start_s, end_s, _ = record["pred_relevant_windows"][0]
        scores.append(iou_to_windows(Span(start_s, end_s), truth[record["qid"]]))
    assert round(100 * sum(score >= 0.5 for score in scores) / len(scores), 2) == 53.94
    assert round(100 * sum(score >= 0.7 for score in scores) / len(scores), 2) == 34.84


@given(spans(), st.lists(quarters, max_size=8, unique=True).map(sorted))
def test_a_snapped_span_holds_the_span_and_no_more_than_it_must(span: Span, times_s: list[float]) -> None:
    wide = snapped(span, times_s)
    assert wide.start_s <= span.start_s < span.end_s <= wide.end_s
    assert wide.start_s == max((t for t in times_s if t <= span.start_s), default=span.start_s)
    assert wide.end_s == min((t for t in times_s if t >= span.end_s), default=span.end_s)
    assert snapped(wide, times_s) == wide
