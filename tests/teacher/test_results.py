import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.teacher.material import samples
from tests.teacher.server import GOOD
from tvg_lightning.harvest import HarvestRule
from tvg_lightning.harvest import refusal as harvest_refusal
from tvg_lightning.prompts import grounding_prompt
from tvg_lightning.schema import AnswerFormat, Method, Span
from tvg_lightning.teacher.questions import Question
from tvg_lightning.teacher.reply import Reply
from tvg_lightning.teacher.results import Refused, collect, refusal, trace_of
from tvg_lightning.traces import read_traces

TAR_TVG = AnswerFormat(Method.TAR_TVG)
TIME_R1 = AnswerFormat(Method.TIME_R1)
TVG_R1 = AnswerFormat(Method.TVG_R1)

REPLY = Reply(GOOD, "stop", "", 20, 64)
SAMPLES = samples(3)
QUESTIONS = {
    sample.sample_id: Question(
        sample,
        grounding_prompt(TVG_R1, sample.query),
        Path("a.mp4"),
        (f"{sample.sample_id}/0", f"{sample.sample_id}/1"),
    )
    for sample in SAMPLES
}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (REPLY, None),
        (replace(REPLY, text=f"{GOOD} So it is."), None),  # TVG-R1 allows a word after the time
        (replace(REPLY, finish_reason=""), None),
        (replace(REPLY, finish_reason="length"), "truncated at question.max_tokens"),
        (replace(REPLY, finish_reason="content_filter"), "content filter"),
        (replace(REPLY, refusal="I will not."), "refused by the teacher: I will not."),
        (replace(REPLY, text=" \n"), "no text"),
        (replace(REPLY, text="From 1.0 to 2.0 s."), "format"),
        (replace(REPLY, text="<time>[1.0, 2.0]</time>"), "format"),
        (replace(REPLY, text="<think>x</think><time>[2.0, 1.0]</time>"), "no usable span"),
    ],
)
def test_what_cannot_be_learned_from(reply: Reply, reason: str | None) -> None:
    assert refusal(reply, TVG_R1) == reason


def test_the_format_is_the_methods() -> None:
    text = "<think>x</think><answer>1.0 to 2.0</answer>"
    assert refusal(replace(REPLY, text=text), TIME_R1) is None
    assert refusal(replace(REPLY, text=text), TVG_R1) == "format"


def test_an_answer_becomes_a_trace() -> None:
    trace = trace_of(replace(SAMPLES[0], windows=(Span(1.5, 2.5), Span(9.0, 9.5))), REPLY, TVG_R1, 4, 1)
    assert (trace.stage, trace.sample_id, trace.video, trace.text) == ("teacher", "s0", "a.mp4", GOOD)
    assert (trace.follows_format, trace.spans, trace.anchors) == (True, (Span(1.0, 2.0),), ())
    assert trace.answer_iou == pytest.approx(0.5 / 1.5)
    assert (trace.num_tokens, trace.group, trace.rollout, trace.rewards) == (20, 4, 1, {})
    assert trace_of(replace(SAMPLES[0], windows=None), REPLY, TVG_R1, 0, 0).answer_iou is None


def test_a_tar_tvg_trace_is_good_enough_to_harvest() -> None:
    text = (
        "<think><timestamp>0.5 to 2.5</timestamp> <timestamp>0.9 to 2.0</timestamp></think><answer>1.0 to 2.0</answer>"
    )
    trace = trace_of(SAMPLES[0], replace(REPLY, text=text), TAR_TVG, 0, 0)
    assert trace.anchors == (Span(0.5, 2.5), Span(0.9, 2.0))
    assert trace.anchor_ious == pytest.approx((0.5, 1.0 / 1.1))
    assert harvest_refusal(trace, HarvestRule()) is None


def test_results_are_in_the_order_of_the_annotations(tmp_path: Path) -> None:
    bad = replace(REPLY, text="\ud800 no format")
    replies = {"s2/0": REPLY, "s0/1": REPLY, "s0/0": bad, "another": REPLY}
    unreadable = {"s1": "a.mp4: cannot be opened"}
    questions = {key: question for key, question in QUESTIONS.items() if key != "s1"}
    results = collect(SAMPLES, questions, unreadable, replies, {"s2/1": "turned down: HTTP 400: no"}, TVG_R1)
    assert results.num_open == 0
    assert results.summary() == "2 traces, 3 refused (1 format, 1 video, 1 turned down)"
    for _ in range(2):  # written anew, not added to
        results.write(tmp_path / "traces.jsonl", tmp_path / "refused.jsonl")
        traces = list(read_traces(tmp_path / "traces.jsonl"))
        assert [(trace.group, trace.sample_id, trace.rollout) for trace in traces] == [(0, "s0", 1), (2, "s2", 0)]
        refused = [Refused(**json.loads(line)) for line in (tmp_path / "refused.jsonl").read_text().splitlines()]
        assert refused == [
            Refused("s0", 0, "a.mp4", "number 0", "format", "\ud800 no format"),
            Refused("s1", 0, "a.mp4", "number 1", "video: a.mp4: cannot be opened", ""),
            Refused("s2", 1, "a.mp4", "number 2", "turned down: HTTP 400: no", ""),
        ]
        # as a run that was killed while it wrote would leave behind
        (tmp_path / f".traces.jsonl.{os.getpid()}.part").write_bytes((tmp_path / "traces.jsonl").read_bytes())
    results.write(tmp_path / "traces.jsonl", tmp_path / "refused.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["refused.jsonl", "traces.jsonl"]


def test_what_was_not_asked_for_is_open_and_nothing_is_none(tmp_path: Path) -> None:
    results = collect(SAMPLES, QUESTIONS, {}, {"s0/0": REPLY}, {}, TVG_R1)
    assert (len(results.traces), results.refused, results.num_open) == (1, (), 5)
    collect((), {}, {}, {}, {}, TVG_R1).write(tmp_path / "traces.jsonl", tmp_path / "refused.jsonl")
    assert (tmp_path / "traces.jsonl").read_bytes() == (tmp_path / "refused.jsonl").read_bytes() == b""


def test_fixed_texts_are_counted() -> None:
    replies = {"s0/0": replace(REPLY, is_fixed=True), "s1/0": REPLY}
    results = collect(SAMPLES, QUESTIONS, {}, replies, {}, TVG_R1)
    assert results.summary().startswith("2 traces (1 fixed: what is no text")


def test_a_teacher_may_say_that_it_is_not_in_the_video() -> None:
    assert refusal(replace(REPLY, text="[]"), AnswerFormat(Method.TIMELENS2)) is None
    assert refusal(replace(REPLY, text="[[2, 1]]"), AnswerFormat(Method.TIMELENS2)) == "format"
