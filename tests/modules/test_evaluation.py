"""Hand-written answers to every task, and what they are worth by hand."""

import json
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
import torch

from tvg_lightning.data.items import Item
from tvg_lightning.data.video import VideoClip
from tvg_lightning.metrics.grounding import GroundingMetrics
from tvg_lightning.modules.evaluation import (
    Evaluated,
    SplitMetrics,
    evaluate,
    judge,
    prediction_record,
    unanswered,
    update_metrics,
)
from tvg_lightning.modules.evaluation_settings import EvaluationSettings
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import Completion, generate
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.schema import Answer, AnswerFormat, Method, Prompt, Sample, Span, Task

TAR_TVG = AnswerFormat(Method.TAR_TVG)
TIME_R1 = AnswerFormat(Method.TIME_R1)

WINDOWS = (Span(4.0, 8.0),)
CLIP = VideoClip(torch.zeros(2, 28, 28, 3, dtype=torch.uint8), (0.0, 0.50049), 2.0, "none")
IN_FORMAT = (
    "<think>At <timestamp>2.0 to 6.0</timestamp> or <timestamp>4.0 to 7.0</timestamp>.</think>"
    "<answer>4.0 to 8.0</answer>"
)


def item(task: Task, windows: tuple[Span, ...] | None = WINDOWS) -> Item:
    sample = Sample("s", "a.mp4", 10.0, "The red circle rises.", windows)
    return Item(sample, task, Prompt("?"), CLIP, () if task == Task.TVG else ("rise",), position=0)


def said(text: str, num_tokens: int = 5, truncated: bool = False) -> Completion:
    return Completion(tuple(range(num_tokens)), text, (0.0,) * num_tokens, truncated)


@pytest.mark.parametrize(
    ("text", "method", "follows_format", "span", "score"),
    [
        (IN_FORMAT, Method.TAR_TVG, True, Span(4.0, 8.0), 1.0),
        ("<answer>4.0 to 6.0</answer>", Method.TAR_TVG, False, Span(4.0, 6.0), 0.5),  # read all the same
        ("<think>It moves.</think><answer>4.0 to 8.0</answer>", Method.TIME_R1, True, Span(4.0, 8.0), 1.0),
        ("It happens from 2 to 6 seconds.", Method.TIME_R1, False, Span(2.0, 6.0), 2 / 6),
        ("<think>It moves.</think><time>[6.0, 10.0]</time>", Method.TVG_R1, True, Span(6.0, 10.0), 2 / 6),
        ("<think>4.0 to 8.0</think>", Method.INVERT4TVG, False, None, 0.0),  # a thought is no answer
        ("I do not know.", Method.TAR_TVG, False, None, 0.0),
        ("", Method.TAR_TVG, False, None, 0.0),
    ],
)
def test_grounding(text: str, method: Method, follows_format: bool, span: Span | None, score: float) -> None:
    judged = judge(item(Task.TVG), said(text), AnswerFormat(method))
    assert (judged.answer.follows_format, judged.answer.span) == (follows_format, span)
    assert judged.score == pytest.approx(score)


def test_every_anchor_has_its_iou() -> None:
    judged = judge(item(Task.TVG), said(IN_FORMAT), TAR_TVG)
    assert judged.answer.anchors == (Span(2.0, 6.0), Span(4.0, 7.0))
    assert judged.anchor_ious == pytest.approx((2 / 6, 3 / 4))


def test_the_best_of_several_windows_counts() -> None:
    windows = (Span(0.0, 1.0), Span(4.0, 8.0))
    judged = judge(item(Task.TVG, windows), said("<answer>5.0 to 8.0</answer>"), TIME_R1)
    assert judged.score == pytest.approx(0.75)


def test_without_truth_there_is_an_answer_and_no_score() -> None:
    judged = judge(item(Task.TVG, None), said(IN_FORMAT), TAR_TVG)
    assert judged.answer.span == Span(4.0, 8.0) and len(judged.answer.anchors) == 2
    assert judged.score is None and judged.anchor_ious == ()


@pytest.mark.parametrize(
    ("task", "text", "follows_format", "score"),
    [
        (Task.VERB_COMPLETION, "<answer>The red circle is rising.</answer>", True, 1.0),
        (Task.VERB_COMPLETION, "<answer>The red circle falls.</answer>", True, 0.0),
        (Task.VERB_COMPLETION, "The red circle rises.", False, 1.0),  # understood, if not in the format
        (Task.ACTION_RECOGNITION, "<answer>rising</answer>", True, 1.0),
        (Task.ACTION_RECOGNITION, "rise", False, 1.0),
        (Task.ACTION_RECOGNITION, "<answer>rise fall spin</answer>", True, 0.0),  # a list is no answer
        (Task.VIDEO_DESCRIPTION, "<answer>Something red rises and spins.</answer>", True, 1.0),
        (Task.VIDEO_DESCRIPTION, "<answer>A red circle.</answer>", True, 0.0),
        (Task.VIDEO_DESCRIPTION, "", False, 0.0),
    ],
)
def test_inversions(task: Task, text: str, follows_format: bool, score: float) -> None:
    judged = judge(item(task), said(text), TAR_TVG)
    assert judged.answer == Answer(follows_format, None)
    assert (judged.score, judged.anchor_ious) == (score, ())


def test_metrics_of_a_batch_by_hand() -> None:
    batch = [
        judge(item(Task.TVG), said(IN_FORMAT, 30), TAR_TVG),  # refines: IoU 1, anchors 1/3 and 3/4
        judge(item(Task.TVG), said("From 4 to 5 seconds.", 9), TAR_TVG),  # IoU 1/4, no anchors
        judge(item(Task.TVG, None), said(IN_FORMAT, 90, False), TAR_TVG),  # not counted
        judge(item(Task.ACTION_RECOGNITION), said("rise", 2), TAR_TVG),
        judge(item(Task.ACTION_RECOGNITION), said("fall", 2), TAR_TVG),
        judge(item(Task.ACTION_RECOGNITION), said("spin", 2), TAR_TVG),
        judge(item(Task.VIDEO_DESCRIPTION), said("A circle rises.", 15, truncated=True), TAR_TVG),
    ]
    metric = GroundingMetrics()
    update_metrics(metric, batch)
    metrics = metric.compute()
    assert metrics == pytest.approx(
        {
            "mIoU": 0.625,
            "R1@0.3": 0.5,
            "R1@0.5": 0.5,
            "R1@0.7": 0.5,
            "format_rate": 0.5,
            "refining_rate": 0.5,
            "anchor_mIoU_1": 1 / 3,
            "anchor_count_1": 1.0,
            "anchor_mIoU_2": 0.75,
            "anchor_count_2": 1.0,
            "action_recognition_accuracy": 1 / 3,
            "video_description_accuracy": 1.0,
            "completion_length": 10.0,  # 30 + 9 + 3 * 2 + 15 tokens of six answers
            "truncated": 1 / 6,
            "thoughts_with_time": 1.0,  # of the one thought that is counted
        }
    )


def test_a_thought_that_names_a_time_and_an_answer_without_a_thought() -> None:
    texts = ["<think>It moves.</think><answer>4.0 to 8.0</answer>", IN_FORMAT, "<answer>4.0 to 8.0</answer>"]
    assert [judge(item(Task.TVG), said(text), TIME_R1).names_time for text in texts] == [False, True, None]
    assert judge(item(Task.TVG, None), said(IN_FORMAT), TIME_R1).names_time, "without truth, too"
    assert judge(item(Task.ACTION_RECOGNITION), said(IN_FORMAT), TIME_R1).names_time is None


def answered(policy: PolicyBackbone, **settings: Any) -> list[Evaluated]:
    """Answers of a few tokens about one clip: twice the same question, one without truth, an inversion."""
    frames = torch.arange(16 * 28 * 28 * 3).reshape(16, 28, 28, 3).mul(7919).remainder(251).to(torch.uint8)
    clip = VideoClip(frames, tuple(n / 2 for n in range(16)), 2.0, "made up")
    asked = [item(Task.TVG), item(Task.TVG), item(Task.TVG, None), item(Task.ACTION_RECOGNITION)]
    items = [replace(one, clip=clip, prompt=Prompt("When does it rise?")) for one in asked]
    return evaluate(policy, items, TAR_TVG, EvaluationSettings(max_new_tokens=6, **settings), generate)


def test_dependence_on_the_frames_is_measured_where_it_is_asked_for() -> None:
    policy = PolicyBackbone(PolicySettings())
    with patch.object(PolicyBackbone, "logp") as passes:
        assert {one.frame_dependence for one in answered(policy)} == {None}
    passes.assert_not_called()
    first, second, untrue, inverted = answered(policy, frame_dependence=True)
    assert first.frame_dependence is not None and first.frame_dependence != 0.0
    assert second.frame_dependence == pytest.approx(first.frame_dependence, abs=1e-4), "one sample, one shuffle"
    assert (untrue.frame_dependence, inverted.frame_dependence) == (None, None)
    assert prediction_record(first)["frame_dependence"] == first.frame_dependence
    assert "frame_dependence" not in prediction_record(untrue)


def test_dependence_on_the_frames_by_kind() -> None:
    judged = [
        replace(judge(of_kind(kind, WINDOWS), said(IN_FORMAT), TAR_TVG), frame_dependence=d)
        for kind, d in (("ordinal", 0.5), ("ordinal", None), ("plain", 0.25), ("plain", -0.5))
    ]
    metrics = SplitMetrics(EvaluationSettings(), TAR_TVG, ["ordinal", "plain"])
    metrics.update(judged)
    found = metrics.compute()
    names = ("frame_dependence", "frame_dependence/ordinal", "frame_dependence/plain")
    assert [found[name] for name in names] == pytest.approx([0.25 / 3, 0.5, -0.125])


def test_a_prediction_as_it_is_written() -> None:
    record = prediction_record(judge(item(Task.TVG), said(IN_FORMAT), TAR_TVG))
    assert json.loads(json.dumps(record)) == record
    assert record == {
        "qid": "s",
        "video": "a.mp4",
        "query": "The red circle rises.",
        "text": IN_FORMAT,
        "follows_format": True,
        "span": [4.0, 8.0],
        "anchors": [[2.0, 6.0], [4.0, 7.0]],
        "iou": 1.0,
        "duration_s": 10.0,
        "frame_times_s": [0.0, 0.5],
    }


def test_a_prediction_without_answer_or_truth() -> None:
    judged = judge(item(Task.TVG, None), said("?"), TAR_TVG)
    assert isinstance(judged, Evaluated)
    record = prediction_record(judged)
    assert (record["span"], record["anchors"], record["iou"]) == (None, [], None)


def test_an_unreadable_video_is_a_wrong_answer_and_stays_in_the_denominator() -> None:
    missing = unanswered(replace(item(Task.TVG), error="it hangs"), TAR_TVG)
    untrue = unanswered(replace(item(Task.TVG, None), error="it hangs"), TAR_TVG)
    inverted = unanswered(replace(item(Task.ACTION_RECOGNITION), error="it hangs"), TAR_TVG)
    assert (missing.score, untrue.score, inverted.score) == (0.0, None, 0.0)
    metric = GroundingMetrics()
    update_metrics(metric, [judge(item(Task.TVG), said(IN_FORMAT), TAR_TVG), missing, untrue, inverted])
    metrics = metric.compute()
    assert (metrics["mIoU"], metrics["R1@0.5"], metrics["action_recognition_accuracy"]) == (0.5, 0.5, 0.0)
    assert metrics["format_rate"] == 0.5
    record = prediction_record(missing)
    assert (record["span"], record["iou"], record["text"], record["frame_times_s"]) == (None, 0.0, "", [])
    assert record["error"] == "it hangs"


def of_kind(kind: str, windows: tuple[Span, ...] | None) -> Item:
    made = item(Task.TVG, windows)
    return replace(made, sample=replace(made.sample, kind=kind))


def test_metrics_of_sets_and_by_kind() -> None:
    form = AnswerFormat(Method.TIMELENS2)
    judged = [
        judge(of_kind("every", (Span(0, 2), Span(4, 6))), said("[[0, 2], [4, 6]]"), form),
        judge(of_kind("every", (Span(0, 2), Span(4, 6))), said("[[0, 2]]"), form),
        judge(of_kind("absent", ()), said("[]"), form),
        judge(of_kind("absent", ()), said("[[0, 2]]"), form),
        judge(of_kind("absent", None), said("[]"), form),  # truth unknown: not counted
    ]
    assert SplitMetrics(EvaluationSettings(), form, ["type", "train", "keys"]).compute() == {}  # words as any other
    metrics = SplitMetrics(EvaluationSettings(), form, ["absent", "every"])
    metrics.update(judged)
    found = metrics.compute()
    assert (found["mIoU"], found["mIoU/every"], found["mIoU/absent"]) == (0.625, 0.75, 0.5)
    assert (found["C-Acc"], found["set_IoU"], found["refusal_precision"], found["refusal_recall"]) == (
        0.5,
        0.625,
        1,
        0.5,
    )
    metrics.reset()
    assert metrics.compute() == {}
    single = SplitMetrics(EvaluationSettings(), TAR_TVG)
    single.update([judge(item(Task.TVG), said(IN_FORMAT), TAR_TVG)])
    assert "C-Acc" not in single.compute()


def test_a_set_is_written_as_one() -> None:
    form = AnswerFormat(Method.TIMELENS2)
    records = [prediction_record(judge(of_kind("", ()), said(text), form)) for text in ("[[1, 2], [3, 4]]", "[]", "no")]
    assert [record["spans"] for record in records] == [[[1.0, 2.0], [3.0, 4.0]], [], None]
    assert all("span" not in record for record in records) and [record["iou"] for record in records] == [0.0, 1.0, 0.0]


def test_an_unreadable_video_has_a_set_in_a_format_of_sets() -> None:
    missing = unanswered(replace(item(Task.TVG), error="it hangs"), AnswerFormat(Method.TIMELENS2))
    assert prediction_record(missing)["spans"] is None and missing.score == 0.0
