import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Tolerances
from tests.runs import by_two_ranks
from tvg_lightning.metrics.iou import MeanIoU, RecallAtIoU, as_float64

unit = st.floats(0.0, 1.0)


def test_mean_by_hand() -> None:
    metric = MeanIoU()
    metric.update([0.5, 0.0])
    metric.update([1.0])
    assert metric.compute().item() == 0.5
    assert metric.compute().dtype is torch.float64


def test_recall_by_hand() -> None:
    metric = RecallAtIoU()
    metric.update([0.0, 0.3, 0.5, 0.7, 1.0])
    got = {key: value.item() for key, value in metric.compute().items()}
    assert got == {"R1@0.3": 0.8, "R1@0.5": 0.6, "R1@0.7": 0.4}


def test_strict_recall_leaves_the_threshold_out() -> None:
    metric = RecallAtIoU(strict=True)
    metric.update([0.0, 0.3, 0.5, 0.7, 1.0])
    got = {key: value.item() for key, value in metric.compute().items()}
    assert got == {"R1@0.3": 0.6, "R1@0.5": 0.4, "R1@0.7": 0.2}


def test_float32_is_refused_because_it_moves_the_threshold() -> None:
    assert torch.tensor([0.7], dtype=torch.float32).double().item() < 0.7  # the fault that the refusal prevents
    with pytest.raises(ValueError, match=r"ious.*float64.*float32"):
        RecallAtIoU().update(torch.tensor([0.7]))


@pytest.mark.parametrize("bad", [[1.5], [-0.1], [math.nan], [0.5, math.inf]])
def test_numbers_that_are_no_iou_are_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match=r"ious.*\[0, 1\]"):
        MeanIoU().update(bad)


def test_two_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match="one dimension"):
        as_float64(torch.zeros(2, 2, dtype=torch.float64), "ious")


@pytest.mark.parametrize("bad", [(), (0.5, 0.5), (1.2,), (math.nan,)])
def test_bad_thresholds_are_refused(bad: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="thresholds"):
        RecallAtIoU(bad)


def test_no_query_is_nan() -> None:
    metric = MeanIoU()
    metric.update([])
    assert math.isnan(metric.compute().item())


def test_reset_forgets() -> None:
    metric = MeanIoU()
    metric.update([1.0])
    metric.reset()
    metric.update([0.25])
    assert metric.compute().item() == 0.25


@given(ious=st.lists(unit, min_size=1, max_size=20), cut=st.integers(0, 20))
def test_batches_do_not_matter(ious: list[float], cut: int) -> None:
    whole, parts = MeanIoU(), MeanIoU()
    whole.update(ious)
    parts.update(ious[:cut])
    parts.update(ious[cut:])
    assert parts.compute().item() == pytest.approx(whole.compute().item(), abs=Tolerances().exact)


@given(ious=st.lists(unit, min_size=1, max_size=20))
def test_recall_falls_with_the_threshold(ious: list[float]) -> None:
    loose, strict = RecallAtIoU(), RecallAtIoU(strict=True)
    loose.update(ious)
    strict.update(ious)
    shares = [share.item() for share in loose.compute().values()]
    assert shares == sorted(shares, reverse=True)
    assert all(a <= b for a, b in zip((s.item() for s in strict.compute().values()), shares, strict=True))


IOUS = [0.1, 0.3, 0.35, 0.5, 0.7, 0.72, 1.0]
SPLITS = (5, 0)  # how many of them the first process has: more than the other, and none


def _process(rank: int, folder: Path) -> None:
    for split in SPLITS:
        mean, recall = MeanIoU(), RecallAtIoU()
        mine = IOUS[:split] if rank == 0 else IOUS[split:]
        mean.update(mine)
        recall.update(mine)
        torch.save({"mIoU": mean.compute(), **recall.compute()}, folder / f"{split}_{rank}.pt")


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path, tolerances: Tolerances) -> None:
    one_mean, one_recall = MeanIoU(), RecallAtIoU()
    one_mean.update(IOUS)
    one_recall.update(IOUS)
    expected = {key: value.item() for key, value in {"mIoU": one_mean.compute(), **one_recall.compute()}.items()}
    assert expected["R1@0.7"] == 3 / 7
    by_two_ranks(_process, tmp_path)
    for split in SPLITS:
        for rank in range(2):
            got = {key: value.item() for key, value in torch.load(tmp_path / f"{split}_{rank}.pt").items()}
            assert got == pytest.approx(expected, abs=tolerances.exact)
