from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from tests.conftest import Tolerances
from tests.runs import by_two_ranks
from tvg_lightning.metrics.grounding import GroundingMetrics, anchor_means
from tvg_lightning.schema import Task


class Row(NamedTuple):
    iou: float
    follows_format: bool
    anchor_ious: list[float]
    refining: bool
    num_tokens: int
    truncated: bool


GROUNDED = [
    Row(0.75, True, [0.25, 0.5], True, 40, False),
    Row(0.5, True, [0.75], False, 30, False),
    Row(0.0, False, [], False, 96, True),
    Row(0.25, True, [0.5, 0.25, 0.125], False, 50, False),
]


def add(metric: GroundingMetrics, rows: list[Row]) -> None:
    ious, follows_format, anchor_ious, refining, num_tokens, truncated = zip(*rows, strict=True)
    metric.update(Task.TVG, ious, follows_format, anchor_ious, refining, num_tokens=num_tokens, truncated=truncated)


def test_what_only_some_samples_have() -> None:
    """Thoughts and d: each over the samples that have one, which may be none."""
    metric = GroundingMetrics()
    metric.update(Task.TVG, [1.0, 0.0], names_time=[None, None], frame_dependence=[None, None])
    assert not {"thoughts_with_time", "frame_dependence"} & metric.compute().keys()
    named, dependences = [True, None, False, False], [0.5, -0.25, None, 0.125]
    metric.update(Task.TVG, [1.0, 0.0, 1.0, 0.0], names_time=named, frame_dependence=dependences)
    found = metric.compute()
    assert found["thoughts_with_time"] == pytest.approx(1 / 3)
    assert found["frame_dependence"] == pytest.approx(0.125) and found["mIoU"] == 0.5
    with pytest.raises(ValueError, match="frame_dependence: 1 entries for 2 scores"):
        metric.update(Task.TVG, [1.0, 0.0], frame_dependence=[0.5])
    with pytest.raises(ValueError, match="frame_dependence are for the grounding task"):
        metric.update(Task.VERB_COMPLETION, [1.0], frame_dependence=[0.5])


def test_metrics_by_hand() -> None:
    metric = GroundingMetrics()
    add(metric, GROUNDED)
    metric.update(Task.VERB_COMPLETION, [1.0, 0.0], num_tokens=[8, 16], truncated=[True, False])
    metric.update(Task.VIDEO_DESCRIPTION, [1.0, 1.0, 0.0, 1.0])
    assert metric.compute() == {
        "mIoU": 0.375,
        "R1@0.3": 0.5,
        "R1@0.5": 0.5,
        "R1@0.7": 0.25,
        "format_rate": 0.75,
        "refining_rate": 0.25,  # of all four: what has no anchors does not refine
        "anchor_mIoU_1": 0.5,
        "anchor_count_1": 3.0,
        "anchor_mIoU_2": 0.375,
        "anchor_count_2": 2.0,
        "anchor_mIoU_3": 0.125,
        "anchor_count_3": 1.0,
        "verb_completion_accuracy": 0.5,
        "video_description_accuracy": 0.75,
        "completion_length": 40.0,  # 216 + 24 tokens in six answers; the descriptions' are not known
        "truncated": 2 / 6,
    }
    assert anchor_means(metric.compute()) == [0.5, 0.375, 0.125]


def test_a_task_without_samples_is_left_out() -> None:
    metric = GroundingMetrics()
    metric.update(Task.ACTION_RECOGNITION, [1.0])
    metric.update(Task.TVG, [], [], [])
    assert metric.compute() == {"action_recognition_accuracy": 1.0}
    assert anchor_means(metric.compute()) == []


def test_no_sample_at_all_is_an_empty_result_without_a_warning() -> None:
    assert GroundingMetrics().compute() == {}


def test_anchors_after_the_last_measured_one_are_ignored() -> None:
    metric = GroundingMetrics(max_anchors=1)
    add(metric, GROUNDED)
    assert anchor_means(metric.compute()) == [0.5]


def test_format_and_anchors_may_be_unknown() -> None:
    metric = GroundingMetrics(thresholds=(0.5,), strict=True)
    metric.update(Task.TVG, torch.tensor([0.5, 1.0], dtype=torch.float64))
    assert metric.compute() == {"mIoU": 0.75, "R1@0.5": 0.5}


def test_every_update_counts_after_a_compute() -> None:
    metric = GroundingMetrics()
    metric.update(Task.TVG, [0.0])
    assert metric.compute()["mIoU"] == 0.0
    metric.update(Task.TVG, [1.0])
    assert metric.compute()["mIoU"] == 0.5


def test_wrong_lengths_and_tasks_are_refused() -> None:
    metric = GroundingMetrics()
    with pytest.raises(ValueError, match="follows_format: 1 entries for 2 scores"):
        metric.update(Task.TVG, [0.1, 0.2], [True])
    with pytest.raises(ValueError, match="anchor_ious: 0 entries for 1 scores"):
        metric.update(Task.TVG, [0.1], [True], [])
    for misplaced in ({"follows_format": [True]}, {"anchor_ious": [[0.5]]}, {"refining": [True]}):
        with pytest.raises(ValueError, match="verb_completion"):
            metric.update(Task.VERB_COMPLETION, [1.0], **misplaced)
    for name in ("refining", "num_tokens", "truncated"):
        with pytest.raises(ValueError, match=f"{name}: 1 entries for 2 scores"):
            metric.update(Task.TVG, [0.1, 0.2], **{name: [True]})  # type: ignore[arg-type]
    assert metric.compute() == {}
    with pytest.raises(ValueError, match="max_anchors"):
        GroundingMetrics(max_anchors=-1)


def test_a_refused_batch_leaves_no_trace() -> None:
    metric = GroundingMetrics()
    add(metric, GROUNDED)
    before = metric.compute()
    with pytest.raises(ValueError, match="anchor_ious"):
        metric.update(Task.TVG, [0.9], [True], [[2.0]])
    assert metric.compute() == before


def _process(rank: int, folder: Path) -> None:
    """Uneven: three grounding samples against one; only rank 1 has an inversion task and a third anchor."""
    metric = GroundingMetrics()
    add(metric, GROUNDED[:3] if rank == 0 else GROUNDED[3:])
    if rank == 1:
        metric.update(Task.VERB_COMPLETION, [1.0, 0.0, 0.0])
    torch.save(metric.compute(), folder / f"{rank}.pt")


def test_two_processes_equal_one(tmp_path: Path, tolerances: Tolerances) -> None:
    one = GroundingMetrics()
    add(one, GROUNDED)
    one.update(Task.VERB_COMPLETION, [1.0, 0.0, 0.0])
    by_two_ranks(_process, tmp_path)
    for rank in range(2):
        assert torch.load(tmp_path / f"{rank}.pt") == pytest.approx(one.compute(), abs=tolerances.exact)


def test_sums_stay_exact_when_a_module_is_cast() -> None:
    """As ``precision: bf16-true`` casts it, before the first batch and, by a second call, in the middle."""
    metric = GroundingMetrics().to(torch.bfloat16)
    metric.update(Task.TVG, [0.7001, 0.2], [True, False], [[], []], [False, False])
    metric.to(torch.bfloat16)
    metric.update(Task.TVG, [0.3], [True], [[]], [False])
    metric.reset()
    assert metric.sums.dtype is torch.float64
    metric.update(Task.TVG, [0.7001, 0.2], [True, False], [[], []], [False, False])
    assert metric.compute()["mIoU"] == pytest.approx(0.45005, abs=1e-12)
