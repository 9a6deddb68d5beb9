import json
import math
from itertools import permutations
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Tolerances
from tests.runs import by_two_ranks
from tvg_lightning.metrics.sets import SetMetrics, matched_ious, set_scores
from tvg_lightning.schema import Span
from tvg_lightning.spans import iou

KEYS = [
    "C-Acc",
    "set_IoU",
    *(f"{name}@{limit}" for limit in ("0.3", "0.5", "0.7") for name in ("tP", "tR", "tF1")),
    "EtF1",
]


def test_scores_by_hand() -> None:
    """IoUs of the pairs: 1, 0.5 and 0 against three truths, with a fourth window too many."""
    predictions = [Span(20, 22), Span(0, 4), Span(6, 8), Span(30, 31)]
    truths = [Span(0, 4), Span(6, 10), Span(14, 15)]
    assert set_scores(predictions, truths) == {
        "C-Acc": 0.0,
        "set_IoU": 6 / 12,
        **{"tP@0.3": 2 / 4, "tR@0.3": 2 / 3, "tF1@0.3": 4 / 7},
        **{"tP@0.5": 2 / 4, "tR@0.5": 2 / 3, "tF1@0.5": 4 / 7},  # an IoU of exactly 0.5 is a hit
        **{"tP@0.7": 1 / 4, "tR@0.7": 1 / 3, "tF1@0.7": 2 / 7},
        "EtF1": 0.0,
    }
    right_count = set_scores(predictions[:3], truths)
    assert right_count["C-Acc"] == 1.0
    assert right_count["EtF1"] == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)


def test_empty_and_unreadable_answers() -> None:
    one, none = dict.fromkeys(KEYS, 1.0), dict.fromkeys(KEYS, 0.0)
    assert set_scores([], []) == one
    assert set_scores([], [Span(0, 1)]) == set_scores([Span(0, 1)], []) == none
    assert set_scores(None, []) == set_scores(None, [Span(0, 1)]) == none
    assert list(set_scores([Span(0, 1)], [Span(0, 1)])) == list(set_scores(None, [])) == KEYS


@pytest.mark.parametrize("bad", [Span(2.0, 2.0), Span(3.0, 2.0), Span(math.nan, 2.0), Span(0.0, math.inf)])
def test_an_unusable_window_counts_and_hits_nothing(bad: Span) -> None:
    assert set_scores([bad], []) == dict.fromkeys(KEYS, 0.0)
    scores = set_scores([bad, Span(0, 1)], [Span(0, 1)])
    assert (scores["C-Acc"], scores["tP@0.5"], scores["tR@0.5"]) == (0.0, 0.5, 1.0)
    assert set_scores([bad], [Span(0, 1)]) == {**dict.fromkeys(KEYS, 0.0), "C-Acc": 1.0}


def test_the_highest_total_not_the_highest_first() -> None:
    """Taking the best pair first, IoU 0.8, leaves a pair of 0: two hits at 0.3 become one."""
    predictions, truths = [Span(0, 10), Span(0, 5)], [Span(0, 8), Span(5, 10)]
    assert iou(predictions[0], truths[0]) == 0.8
    assert sorted(matched_ious(predictions, truths)) == [0.5, 0.625]
    assert set_scores(predictions, truths)["tF1@0.3"] == 1.0


def test_one_matching_for_all_thresholds() -> None:
    """At 0.7 the pair of 0.8 alone would be a hit, but the matching of highest total does not have it."""
    assert set_scores([Span(0, 10), Span(0, 5)], [Span(0, 8), Span(5, 10)])["tF1@0.7"] == 0.0


def test_counted_as_given_while_the_time_is_merged() -> None:
    twice = set_scores([Span(0, 4), Span(0, 4)], [Span(0, 4)])
    assert (twice["C-Acc"], twice["set_IoU"], twice["tP@0.7"], twice["tR@0.7"]) == (0.0, 1.0, 0.5, 1.0)
    # OMTG's release joins touching windows in place, which makes the first of them too long to be a hit
    touching = [Span(0, 2), Span(2, 6)]
    assert set_scores(touching, touching) == dict.fromkeys(KEYS, 1.0)


quarters = st.integers(0, 60).map(lambda k: k / 4)
window_lists = st.lists(st.builds(lambda s, n: Span(s, s + n / 4), quarters, st.integers(1, 40)), max_size=4)


@given(window_lists, window_lists)
def test_bounded_and_turned_round_precision_is_recall(predictions: list[Span], truths: list[Span]) -> None:
    scores, turned = set_scores(predictions, truths), set_scores(truths, predictions)
    assert list(scores) == KEYS
    assert all(0.0 <= value <= 1.0 for value in scores.values())
    assert scores["set_IoU"] == turned["set_IoU"]
    assert scores["tF1@0.3"] >= scores["tF1@0.5"] >= scores["tF1@0.7"]
    assert scores["EtF1"] <= scores["C-Acc"]
    assert set_scores(truths, truths) == dict.fromkeys(KEYS, 1.0)
    totals = sum(matched_ious(predictions, truths)), sum(matched_ious(truths, predictions))
    assert totals[0] == pytest.approx(totals[1], abs=Tolerances().exact)


@given(window_lists, window_lists)
def test_the_order_of_windows_does_not_matter(predictions: list[Span], truths: list[Span]) -> None:
    assert set_scores(predictions[::-1], truths[1:] + truths[:1]) == set_scores(predictions, truths)


def test_the_order_does_not_matter_where_totals_tie() -> None:
    """IoUs of 3/8 + 1/2 or 1/8 + 3/4: only the latter has a hit at 0.7, and either is a best matching."""
    predictions, truths = [Span(5, 13), Span(7, 13)], [Span(5, 8), Span(5, 11)]
    scores = [set_scores(p, t) for p in permutations(predictions) for t in permutations(truths)]
    assert all(score == scores[0] for score in scores)


@given(window_lists.filter(bool), window_lists.filter(bool))
def test_no_matching_has_a_higher_total(predictions: list[Span], truths: list[Span]) -> None:
    few, many = sorted((predictions, truths), key=len)
    best = max(sum(iou(a, b) for a, b in zip(few, some, strict=True)) for some in permutations(many, len(few)))
    assert sum(matched_ious(predictions, truths)) == pytest.approx(best, abs=Tolerances().exact)


# exact, a refusal of what is there, a rightful refusal, one that could not be read, and a window too many
ANSWERS: list[list[Span] | None] = [[Span(0, 4)], [], [], None, [Span(0, 4), Span(6, 8)]]
TRUTHS: list[list[Span]] = [[Span(0, 4)], [Span(0, 2)], [], [], [Span(0, 4)]]


def test_metrics_by_hand() -> None:
    metric = SetMetrics(thresholds=(0.5,))
    metric.update(ANSWERS[:2], TRUTHS[:2])
    metric.update(ANSWERS[2:], TRUTHS[2:])
    assert metric.compute() == pytest.approx(
        {
            "C-Acc": 2 / 5,
            "set_IoU": (1 + 0 + 1 + 0 + 4 / 6) / 5,
            "tP@0.5": (1 + 0 + 1 + 0 + 1 / 2) / 5,
            "tR@0.5": 3 / 5,
            "tF1@0.5": (1 + 0 + 1 + 0 + 2 / 3) / 5,
            "EtF1": 2 / 5,
            "refusal_precision": 1 / 2,  # two empty answers, one of them right
            "refusal_recall": 1 / 2,  # two queries about nothing, one of them refused
        }
    )


def test_etf1_is_a_mean_of_products() -> None:
    metric = SetMetrics()
    metric.update([[Span(0, 4)], [Span(9, 10), Span(0, 4)]], [[Span(8, 9)], [Span(0, 4)]])
    got = metric.compute()
    assert got["EtF1"] == 0.0  # the one with the right count misses; the product of the means would be 1/6
    assert got["C-Acc"] * got["tF1@0.5"] == pytest.approx(1 / 6)


def test_what_is_undefined_is_left_out() -> None:
    assert SetMetrics().compute() == {}
    metric = SetMetrics()
    metric.update([[Span(0, 4)]], [[Span(0, 4)]])
    assert list(metric.compute()) == KEYS
    metric.update([[]], [[Span(0, 4)]])
    assert metric.compute()["refusal_precision"] == 0.0
    assert "refusal_recall" not in metric.compute()
    refused = SetMetrics()
    refused.update([None], [[]])
    assert refused.compute() == {**dict.fromkeys(KEYS, 0.0), "refusal_recall": 0.0}


def test_a_refused_batch_leaves_no_trace() -> None:
    metric = SetMetrics()
    with pytest.raises(ValueError, match="predictions: 1 for 2 truths"):
        metric.update([[]], [[], []])
    assert metric.compute() == {}
    with pytest.raises(ValueError, match="thresholds"):
        SetMetrics(thresholds=(0.5, 0.5))


def _process(rank: int, folder: Path) -> None:
    """Uneven: four samples against one, and only rank 0 has refusals."""
    metric = SetMetrics()
    some = slice(0, 4) if rank == 0 else slice(4, None)
    metric.update(ANSWERS[some], TRUTHS[some])
    torch.save(metric.compute(), folder / f"{rank}.pt")


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path, tolerances: Tolerances) -> None:
    one = SetMetrics()
    one.update(ANSWERS, TRUTHS)
    by_two_ranks(_process, tmp_path)
    for rank in range(2):
        assert torch.load(tmp_path / f"{rank}.pt") == pytest.approx(one.compute(), abs=tolerances.exact)


def test_sums_stay_exact_when_a_module_is_cast() -> None:
    metric = SetMetrics().to(torch.bfloat16)
    metric.update(ANSWERS, TRUTHS)
    assert metric.sums.dtype is torch.float64
    assert metric.compute()["set_IoU"] == pytest.approx((2 + 4 / 6) / 5, abs=1e-12)


def test_the_benchmark_of_omtg(shared: Path) -> None:
    """All 300 samples and their means; where both sets are empty the benchmark's IoU is 0, its reward's and ours 1."""
    oracle = json.loads((shared / "data/oracles/omtg_metrics.json").read_text(encoding="utf-8"))
    metric, both_empty = SetMetrics(), 0
    for case in oracle["set_cases"]:
        predictions, truths = ([Span(*window) for window in case[key]] for key in ("pred", "gt"))
        scores = set_scores(predictions, truths)
        assert scores["set_IoU"] == pytest.approx(case["reward_tiou"], abs=1e-9), case["id"]
        if not predictions and not truths:
            assert (scores["set_IoU"], case["benchmark"]["tIoU"]) == (1.0, 0.0)
            scores["set_IoU"] = 0.0
            both_empty += 1
        theirs = {key.replace("tIoU", "set_IoU"): value for key, value in case["benchmark"].items()}
        assert scores == pytest.approx(theirs, abs=1e-9), case["id"]
        metric.update([predictions], [truths])
    assert (len(oracle["set_cases"]), both_empty) == (300, 13)
    means = metric.compute()
    means["set_IoU"] -= 13 / 300
    for key, percent in oracle["mean_over_set_cases_times_100"].items():
        assert 100 * means[key.replace("tIoU", "set_IoU")] == pytest.approx(percent, abs=1e-7)
