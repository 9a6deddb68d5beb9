"""Findings of one task in words: from when on they are said, in which order, and with which examples."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.builders import GOOD_TRACE
from tvg_lightning.diagnosis.judges import prompt_examples
from tvg_lightning.diagnosis.sections import DiagnosisRule, Outcome, Section
from tvg_lightning.schema import AnswerFormat, Method, Span, Task
from tvg_lightning.traces import Trace

TAR_TVG = AnswerFormat(Method.TAR_TVG)
Change = Callable[[int, int], dict[str, Any]]  # of a group and a rollout


def outcome(change: Change, num_groups: int = 20, task: Task = Task.TVG, **rule: Any) -> Outcome:
    """The outcome of groups of four good completions, each changed."""
    section = Section("explore", task, DiagnosisRule(**rule), TAR_TVG, prompt_examples())
    for step in range(num_groups):
        section.add([good(step, number, change(step, number)) for number in range(4)])
    return section.outcome()


def good(step: int, number: int, changes: dict[str, Any]) -> Trace:
    parts = {"format": 1.0 + number / 100, "iou": number / 4}
    plain = {"rewards": parts, "reward": sum(parts.values()), "answer_iou": parts["iou"], "num_tokens": 20}
    told = {"truncated": False, "last_frame_s": 39.5, "form": TAR_TVG, "sample_id": f"s{step}"}
    return replace(GOOD_TRACE, step=step, rollout=number, **(plain | told | changes))


def test_a_run_that_learns_has_no_findings() -> None:
    found = outcome(lambda step, number: {})
    assert (found.findings, found.not_judged) == ((), ())
    assert (found.num_traces, found.num_groups, found.first_step, found.last_step) == (80, 20, 0, 19)
    assert found.answer_iou == pytest.approx((0.375, 0.375))


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("truncated", {"truncated": True}, "20 of 80 completions (25.0%) were ended by the token limit"),
        (
            "format",
            {"follows_format": False, "text": "<answer>1 to 2</answer>"},
            "20 of 80 completions (25.0%) do not follow the format, so that what they say earns nothing or less: "
            "no thought (20).",
        ),
        (
            "unread_time",
            {"spans": None, "text": "<think>t</think><answer>0:01 - 0:02</answer>"},
            "20 of 80 answers in the format (25.0%) follow the format, but state no time that its rule can read: a "
            "time in another form (20).",
        ),
        (
            "copied_example",
            {"spans": (Span(12.0, 15.5),), "answer_iou": 0.0},
            "20 of 80 completions with a time (25.0%) repeat the times of the prompt's example",
        ),
        (
            "beyond_video",
            {"spans": (Span(30.0, 50.0),)},
            "20 of 80 completions with a time (25.0%) state a time beyond the end of their video.",
        ),
    ],
)
def test_a_finding_about_the_first_completion_of_every_group(name: str, change: dict[str, Any], words: str) -> None:
    found = outcome(lambda step, number: change if number == 0 else {})
    (finding,) = found.findings
    assert finding.name == name and finding.words.startswith(words)
    assert (finding.num, finding.out_of, finding.explains) == (20, 80, 0.25)
    assert [(e.sample_id, e.step) for e in finding.examples] == [("s0", 0), ("s1", 1)]
    below = outcome(lambda step, number: change if (step, number) == (0, 0) else {}, 40, min_share=0.05)
    assert below.findings == ()


def test_rewards_against_the_iou() -> None:
    """IoUs of 1 and three times 0.5, mean 0.625; the best earns least."""
    found = outcome(lambda step, number: {"answer_iou": 0.5} if number else {"answer_iou": 1.0, "reward": -1.0})
    (finding,) = found.findings
    words = "20 of 80 completions (25.0%) earn against their IoU within their group: IoU high, reward low (20)."
    assert finding.name == "iou_and_reward" and finding.words.startswith(words)


def test_constant_groups() -> None:
    found = outcome(lambda step, number: {"reward": 0.0, "rewards": {}, "text": f"{number}"} if step % 2 else {})
    (finding,) = (f for f in found.findings if f.name == "constant_groups")
    assert finding.words.startswith(
        "10 of 20 groups (50.0%) earn the same for all their completions, and so give no gradient: "
        "every reward 0 (10). Rewards are out of reach"
    )
    few = outcome(lambda step, number: {"reward": 0.0, "rewards": {}} if step % 5 == 0 else {})
    assert not [f for f in few.findings if f.name == "constant_groups"]  # 20 % are no surprise


def test_truth_that_was_not_seen_is_counted_by_group() -> None:
    found = outcome(lambda step, number: {"last_frame_s": 5.0})
    (finding,) = found.findings
    assert (finding.name, finding.num, finding.out_of, finding.unit) == ("truth_unseen", 20, 20, "groups")


def test_what_changed_lately_is_said() -> None:
    bad = {"follows_format": False, "text": "no"}
    found = outcome(lambda step, number: bad if step < 10 else {}, window=16)
    assert found.findings[0].words.startswith("40 of 80 completions (50.0%; 0.0% of the last 16) do not follow")


def test_language_drift() -> None:
    chinese = {"text": "<think>红色的圆升起</think>"}
    found = outcome(lambda step, number: chinese if step >= 15 else {}, window=20)
    (finding,) = found.findings
    assert finding.words == (
        "20 of the last 20 completions are in another script than their query: 100.0% of the letters, after 0.0% at "
        "first."
    )
    assert (finding.name, finding.num, finding.explains) == ("language", 20, 1.0)
    assert finding.examples[0].text == "<think>红色的圆升起</think>"
    always = outcome(lambda step, number: chinese, window=20)
    assert not always.findings  # it is no drift


@pytest.mark.parametrize(("early", "late", "how"), [(20, 50, "grew"), (50, 20, "shrank")])
def test_length(early: int, late: int, how: str) -> None:
    found = outcome(lambda step, number: {"num_tokens": late if step >= 10 else early}, window=40)
    (finding,) = found.findings
    words = f"Completions {how} from {early}.0 tokens (first 40) to {late}.0 (last)."
    assert (finding.name, finding.words, finding.explains) == ("length", words, pytest.approx(0.6))
    limited = outcome(lambda step, number: {"num_tokens": 20 + 30 * (step >= 10), "truncated": step >= 19}, window=40)
    (length,) = (f for f in limited.findings if f.name == "length")
    assert length.words.endswith("4 of the last 40 reached the token limit.")
    assert outcome(lambda step, number: {"num_tokens": 20 + 9 * (step >= 10)}, window=40).findings == ()


def test_a_constant_reward() -> None:
    parts = [{"format": 1.0, "iou": number / 4, "length": -0.5} for number in range(4)]
    found = outcome(lambda step, number: {"rewards": parts[number]})
    (finding,) = found.findings
    assert (finding.name, finding.explains) == ("constant_reward", pytest.approx(2 / 3))
    assert finding.words.startswith(
        "2 of 3 rewards with a weight had one value in all completions: format is 1, length is"
    )


def test_causes_stand_before_what_follows_from_them() -> None:
    """All is cut off, hence out of format, hence worth 0: three times 100 %."""
    nothing = {"truncated": True, "follows_format": False, "text": "<think>so", "reward": 0.0, "rewards": {"iou": 0.0}}
    found = outcome(lambda step, number: nothing | {"answer_iou": 0.0, "spans": None, "anchors": ()})
    assert [finding.name for finding in found.findings] == ["truncated", "format", "constant_groups", "constant_reward"]
    assert "80 of 80 completions (100.0%) never follow the format" in found.findings[1].words
    half = outcome(lambda step, number: nothing | {"truncated": number < 2})
    assert half.findings[-1].name == "truncated"


def test_what_traces_do_not_tell_is_said() -> None:
    old = outcome(lambda step, number: {"truncated": None, "last_frame_s": None, "form": None})
    assert [words.partition(":")[0] for words in old.not_judged] == [
        "whether completions were cut off",
        "whether the truth was seen",
    ]
    few = outcome(lambda step, number: {"follows_format": False}, num_groups=2)
    assert few.findings == () and few.not_judged == ("8 completions are too few to say anything",)
    inverted = outcome(lambda step, number: {"truncated": None}, task=Task.VERB_COMPLETION)
    assert len(inverted.not_judged) == 1 and inverted.answer_iou is None


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"min_share": 0.0}, "rule.min_share"),
        ({"min_constant": 1.5}, "rule.min_constant"),
        ({"growth": 1.0}, "rule.growth"),
        ({"window": 0}, "rule.window"),
    ],
)
def test_thresholds_that_mean_nothing_are_refused(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DiagnosisRule(**rule)
