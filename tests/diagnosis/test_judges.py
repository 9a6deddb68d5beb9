"""Each judgement on completions made by hand: what it counts, what it lets pass, what it cannot judge."""

from dataclasses import replace
from typing import Any

import pytest

from tests.builders import GOOD_TRACE
from tvg_lightning.diagnosis import judges
from tvg_lightning.diagnosis.findings import Judge
from tvg_lightning.prompts import PromptTemplates, templates_of
from tvg_lightning.schema import AnswerFormat, Method, Span, Task
from tvg_lightning.traces import Trace

TIME_R1, TAR_TVG = AnswerFormat(Method.TIME_R1), AnswerFormat(Method.TAR_TVG)


def group(*changes: dict[str, Any]) -> list[Trace]:
    return [replace(GOOD_TRACE, rollout=number, **change) for number, change in enumerate(changes)]


def cases(judge: Judge, *changes: dict[str, Any]) -> list[str | None]:
    return [case for _, case in judge(group(*changes))]


def test_truncated() -> None:
    assert cases(judges.truncated, {"truncated": True}, {"truncated": False}, {}) == ["cut off", None]


def test_out_of_format_by_the_traces_own_format() -> None:
    bad = {"follows_format": False, "text": "<answer>1 to 2</answer>"}
    judge = judges.out_of_format(None)
    assert cases(judge, {}, bad | {"form": TIME_R1}, bad) == [None, "no thought", judges.UNNAMED]
    assert cases(judge, bad | {"form": TIME_R1, "truncated": True}) == ["cut off at the token limit"]
    assert cases(judge, bad | {"task": Task.ACTION_RECOGNITION, "text": "rises"}) == ["no <answer>"]
    alone = AnswerFormat(Method.TVG_R1, thought=False)
    assert cases(judges.out_of_format(alone), bad, bad | {"form": TIME_R1}) == ["no <time>", "no thought"]


def test_without_time() -> None:
    clock = {"text": "<think>t</think><answer>0:01 - 0:02</answer>", "spans": None}
    found = cases(judges.without_time(TIME_R1), clock, {}, clock | {"follows_format": False})
    assert found == ["a time in another form", None]
    assert cases(judges.without_time(None), clock) == [judges.UNNAMED]
    assert cases(judges.without_time(TIME_R1), clock | {"task": Task.VERB_COMPLETION}) == []


@pytest.mark.parametrize(
    ("rewards", "texts", "case"),
    [
        (({"iou": 0.5}, {"iou": 0.4}), "ab", None),
        (({"iou": 0.0}, {"iou": 0.0}), "ab", judges.ALL_0),
        (({"iou": 1.0, "format": 1.0}, {"iou": 1.0, "format": 1.0}), "aa", judges.ALL_1),
        (({"iou": 0.5}, {"iou": 0.5}), "aa", judges.ONE_TEXT),
        (({"iou": 0.5}, {"iou": 0.5}), "ab", judges.SAME_REWARD),
    ],
)
def test_flat(rewards: tuple[dict[str, float], ...], texts: str, case: str | None) -> None:
    changes = [
        {"rewards": parts, "reward": sum(parts.values()), "text": text}
        for parts, text in zip(rewards, texts, strict=True)
    ]
    assert cases(judges.constant, *changes) == [case]
    assert cases(judges.constant, changes[0]) == []  # one completion is no group
    with_annotation = [change | {"oracle_advantage": 0.05} for change in changes]
    assert cases(judges.constant, *with_annotation) == [None]  # it is learned from even where rewards are equal


def test_beyond_video() -> None:
    """The video lasts 40 s; a second more is rounding."""
    inside, rounded, beyond = ({"spans": (Span(30.0, end_s),), "anchors": ()} for end_s in (40.0, 41.0, 41.1))
    anchor = {"anchors": (Span(1.0, 99.0),)}
    found = cases(judges.beyond_video, inside, rounded, beyond, anchor, {"spans": None, "anchors": ()})
    assert found == [None, None, "a time beyond the end", "a time beyond the end"]


def test_copied_example() -> None:
    """TAR-TVG's prompt says 12.0 to 15.5 and 12.5 to 15.0."""
    examples = judges.prompt_examples()
    assert examples(TAR_TVG) == {Span(12.0, 15.5), Span(12.5, 15.0)}
    assert examples(AnswerFormat(Method.TVG_R1)) == frozenset()
    wrong = {"answer_iou": 0.1, "anchors": (), "spans": (Span(12.5, 15.0),), "form": TAR_TVG}
    found = cases(
        judges.copied_example(examples, None),
        wrong,
        wrong | {"spans": (Span(12.4, 15.0),)},
        wrong | {"answer_iou": 0.6},  # it is the truth, too
        wrong | {"spans": None, "anchors": (Span(12.0, 15.5),)},
        wrong | {"spans": None},
        wrong | {"form": None},
        wrong | {"task": Task.VERB_COMPLETION},
    )
    assert found == ["the answer", None, None, "an anchor"]
    assert cases(judges.copied_example(examples, TAR_TVG), wrong | {"form": None}) == ["the answer"]


def test_the_example_of_other_prompts() -> None:
    other = PromptTemplates("{query}? Such as <answer>3.0 to 4.0</answer>.", system="or [5, 6]")
    assert judges.prompt_examples(other)(TIME_R1) == {Span(3.0, 4.0), Span(5.0, 6.0)}
    assert "{query}" in templates_of(TIME_R1).tvg  # what a query says is no example


def test_truth_unseen() -> None:
    """The truth is 10 to 20 s; one judgement a group."""
    seen, late = {"last_frame_s": 10.0}, {"last_frame_s": 9.9}
    assert cases(judges.truth_unseen, seen, late) == [None]
    assert cases(judges.truth_unseen, late, late) == ["after the last frame"]
    assert cases(judges.truth_unseen, late | {"windows": (Span(1.0, 2.0), Span(10.0, 20.0))}) == [None]
    for unknown in ({}, late | {"windows": ()}, late | {"windows": None}, late | {"task": Task.VERB_COMPLETION}):
        assert cases(judges.truth_unseen, unknown) == []


def test_iou_and_reward() -> None:
    """Mean IoU 0.4, mean reward 1."""
    good = [{"answer_iou": 0.8, "reward": 2.0}, {"answer_iou": 0.0, "reward": 0.0}]
    assert cases(judges.iou_and_reward, *good) == [None, None]
    turned = [{"answer_iou": 0.8, "reward": 0.0}, {"answer_iou": 0.0, "reward": 2.0}]
    assert cases(judges.iou_and_reward, *turned) == ["IoU high, reward low", "IoU low, reward high"]
    near = [{"answer_iou": 0.8, "reward": 0.0}, {"answer_iou": 0.7, "reward": 2.0}]
    assert cases(judges.iou_and_reward, *near) == [None, None]
    equal = [{"answer_iou": iou, "reward": 0.1} for iou in (0.9, 0.0, 0.0)]  # whose mean is not quite 0.1
    assert sum([0.1] * 3) / 3 != 0.1 and cases(judges.iou_and_reward, *equal) == [None] * 3
    assert cases(judges.iou_and_reward, good[0]) == cases(judges.iou_and_reward, good[0], {"answer_iou": None}) == []
