"""What is told of a rollout: metrics, IoUs by sample, and a trace of every completion."""

from dataclasses import replace

import pytest
import torch

from tests.modules.test_rollouts import CONTEXT, GROUPS, TIME_R1, group
from tvg_lightning.modules.rollout_report import mean_ious, rollout_metrics, rollout_traces
from tvg_lightning.modules.rollouts import Learned, Sampled
from tvg_lightning.schema import Span, Task


def test_metrics_are_over_all_that_was_sampled() -> None:
    metrics = rollout_metrics(Sampled([GROUPS["good"]], [GROUPS["constant"]]))
    assert metrics["reward"] == pytest.approx(0.5)
    assert metrics["frac_reward_zero_std"] == 0.5 and metrics["resampled"] == 1.0
    assert metrics["completion_length"] == 2.0 and metrics["truncated"] == 0.5
    assert metrics["nll"] == pytest.approx(2.0)  # -log p of 1 and 3
    assert metrics["reward/iou"] == pytest.approx(0.5)


def test_metrics_of_what_was_measured_and_of_thoughts() -> None:
    """d of two groups of three; three thoughts, one of which names a time; those of an inversion do not count."""
    measured = [
        replace(group("a", 0.0, 1.0), dependences=[0.5, -0.1]),
        replace(group("b", 0.0, 1.0), dependences=[0.2, 0.0]),
    ]
    plain = [group("c", 0.0, 1.0), group("d", 0.0, 1.0, task=Task.ACTION_RECOGNITION)]
    texts = [
        "<think>From 1.0s to 2.0s it is red.</think>",
        "<think>2 men.</think>",
        "no thought",
        "<think>3 men</think>",
    ]
    answered = [c for g in measured for c in g.completions]
    for number, (completion, text) in enumerate(zip(answered, texts, strict=True)):
        measured[number // 2].completions[number % 2] = replace(completion, text=text)
    plain[1].completions[:] = [replace(c, text="<think>At 2 s</think>") for c in plain[1].completions]
    metrics = rollout_metrics(Sampled([*measured, plain[0]], [plain[1]]))
    assert metrics["frame_dependence"] == pytest.approx(0.15)
    assert metrics["thoughts_with_time"] == pytest.approx(1 / 3)
    assert not {"frame_dependence", "thoughts_with_time"} & rollout_metrics(Sampled([plain[0]], [])).keys()
    learned = Learned([range(2)], torch.zeros(1, 2))
    traces = rollout_traces(Sampled([measured[0]], [plain[0]]), learned, CONTEXT, TIME_R1)
    assert [t.frame_dependence for t in traces] == [0.5, -0.1, None, None]


def test_traces_of_replaced_groups_have_no_advantage() -> None:
    sampled = Sampled([GROUPS["good"]], [GROUPS["other"]])
    learned = Learned([range(2)], torch.tensor([[-1.0, 1.0]]))
    traces = rollout_traces(sampled, learned, CONTEXT, TIME_R1)
    assert [(t.sample_id, t.rollout, t.advantage) for t in traces] == [
        ("good", 0, -1.0), ("good", 1, 1.0), ("other", 0, 0.0), ("other", 1, 0.0)
    ]  # fmt: skip
    assert {(t.rollout, t.truncated, t.last_frame_s, t.form) for t in traces} == {
        (0, False, 1.0, TIME_R1), (1, True, 1.0, TIME_R1)
    }  # fmt: skip
    verbs = Sampled([group("verbs", 0.0, task=Task.VERB_COMPLETION)], [])
    learned = Learned([range(1)], torch.zeros(1, 1))
    assert rollout_traces(verbs, learned, CONTEXT, TIME_R1)[0].last_frame_s is None


def test_mean_ious_are_of_grounding_answers() -> None:
    answered = group("a", 1.0, 0.0, answers=[Span(0.0, 4.0), Span(2.0, 4.0)])
    verbs = group("b", 1.0, 1.0, task=Task.ACTION_RECOGNITION)
    assert mean_ious(Sampled([answered, verbs], [])) == {"a": 0.75}
