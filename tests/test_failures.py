"""What went wrong in a completion: one failure each, from hand-made completions with hand-computed IoUs."""

from dataclasses import replace
from typing import Any

import pytest

from tests.builders import GOOD_TRACE
from tvg_lightning.failures import WORDS, Events, Failure, FailureJudge, Verdict
from tvg_lightning.prompts import PromptTemplates
from tvg_lightning.schema import AnswerFormat, Method, Span, Task
from tvg_lightning.span_sets import answer_iou
from tvg_lightning.traces import Trace

# the query's own window is 10 to 20 s; another query of the same video names 25 to 35 s
OTHER = replace(GOOD_TRACE, sample_id="s2", query="It falls.", windows=(Span(25.0, 35.0),))
PROMPT = PromptTemplates(tvg="{query}? Like <answer>3.0 to 4.0</answer>.")


def answered(*spans: tuple[float, float], **changes: Any) -> Trace:
    trace = replace(GOOD_TRACE, spans=tuple(Span(*span) for span in spans), form=AnswerFormat(Method.TIME_R1))
    return replace(replace(trace, answer_iou=answer_iou(trace.answer, trace.windows or ())), **changes)


def judged(trace: Trace, *known: Trace) -> Verdict:
    return FailureJudge(Events([GOOD_TRACE, OTHER, *known]), templates=PROMPT)(trace)


@pytest.mark.parametrize(
    ("trace", "failure", "detail"),
    [
        (answered((10, 20)), None, ""),
        (answered((10, 15)), None, ""),  # IoU 5/10
        (answered((10, 14)), Failure.LOOSE_EDGES, ""),  # 4/10
        (answered((0, 40)), Failure.LOOSE_EDGES, ""),  # 10/40; with the other event 10/40, too
        (answered((19, 20)), Failure.LOOSE_EDGES, ""),  # 1/10
        (answered((19, 22)), Failure.MISSED, ""),  # 1/12
        (answered((0, 2)), Failure.MISSED, ""),
        (answered(), Failure.MISSED, ""),  # "not in the video", but it is
        (answered((26, 34)), Failure.OTHER_EVENT, "It falls."),  # 8/10 with the other
        (answered((0, 1), (25, 34), is_set=True, answer_iou=0.0), Failure.OTHER_EVENT, "It falls."),
        (answered((25, 29)), Failure.MISSED, ""),  # 4/10 with the other
        (answered((3, 4)), Failure.COPIED, "the answer"),
        (answered((0, 2), anchors=(Span(3.0, 4.0),)), Failure.COPIED, "an anchor"),
        (answered((10, 20), anchors=(Span(3.0, 4.0),)), None, ""),  # it is right all the same
        (answered((3, 4), follows_format=False, text="At 3."), Failure.FORMAT, "no thought"),
        (answered((3, 4), follows_format=False, truncated=True), Failure.FORMAT, "cut off at the token limit"),
        (
            answered(text="<think>x</think><answer>soon</answer>", spans=None, answer_iou=0.0),
            Failure.NO_ANSWER,
            "no time in the answer",
        ),
        (answered((0, 2), answer_iou=None, windows=None), None, ""),  # the truth is unknown
        (answered((0, 2), answer_iou=0.0, windows=()), Failure.MISSED, ""),  # a window, but there is none
        (answered(answer_iou=None, task=Task.ACTION_RECOGNITION, spans=None), None, ""),
    ],
)  # fmt: skip
def test_each_failure(trace: Trace, failure: Failure | None, detail: str) -> None:
    assert judged(trace) == (failure, detail)


def test_the_same_event_in_other_words_is_no_other() -> None:
    again = replace(OTHER, windows=(Span(10.0, 18.0),))  # 8/10 of the truth
    wide = answered((10, 14))
    assert judged(wide, again).failure is Failure.LOOSE_EDGES
    assert judged(wide, replace(again, windows=(Span(10.0, 14.5),))).failure is Failure.OTHER_EVENT  # 4.5/10: another


def test_events_of_other_videos_and_other_cuts_do_not_count() -> None:
    judge = FailureJudge(Events([replace(OTHER, video="b.mp4"), replace(OTHER, duration_s=39.0)]))
    assert judge(answered((25, 35))).failure is Failure.MISSED


def test_traces_without_a_format_take_the_fallback() -> None:
    trace = replace(GOOD_TRACE, follows_format=False, text="At 3.")
    assert FailureJudge(Events(), AnswerFormat(Method.TVG_R1))(trace).failure is Failure.FORMAT
    assert "--method" in FailureJudge(Events())(trace).detail


def test_every_failure_has_its_words() -> None:
    assert set(WORDS) == set(Failure)
    assert Verdict(Failure.OTHER_EVENT, "It falls.").words == "another event of the same video: It falls."
    assert (Verdict(Failure.MISSED).words, Verdict(None).words) == ("truth missed", "")
