import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.rewards.frame_dependence import frame_dependence_reward
from tvg_lightning.rewards.timestamp_iou import timestamp_iou_reward
from tvg_lightning.rewards.total import RewardParts, Rewards
from tvg_lightning.rewards.weights import FrameDependenceSettings, RewardWeights
from tvg_lightning.schema import Answer, AnswerFormat, Method, Sample, Span, Task
from tvg_lightning.spans import iou

TIME_R1 = AnswerFormat(Method.TIME_R1)


@pytest.mark.parametrize(
    ("dependence", "overlap", "reward"),
    [
        (0.4, 0.7, 1.0),  # above the mean of 0.2, and just good enough
        (0.4, 0.69, 0.0),
        (0.2, 1.0, 0.0),  # the mean itself is not above it
        (0.0, 1.0, 0.0),
    ],
)
def test_hand_computed(dependence: float, overlap: float, reward: float) -> None:
    assert frame_dependence_reward(dependence, [0.0, 0.2, 0.4], overlap, min_iou=0.7) == reward


@given(st.floats(-9.0, 9.0), st.integers(2, 20))
def test_equal_completions_earn_nothing_whatever_rounding_does(dependence: float, num: int) -> None:
    assert frame_dependence_reward(dependence, [dependence] * num, 1.0, 0.7) == 0.0


@given(st.lists(st.floats(-9.0, 9.0), min_size=2, max_size=9))
def test_never_all_of_a_group(group: list[float]) -> None:
    assert 0.0 in [frame_dependence_reward(d, group, 1.0, 0.7) for d in group]


def score(text: str, weights: RewardWeights) -> RewardParts:
    sample = Sample("s", "a.mp4", 10.0, "It rises.", (Span(2.0, 6.0),))
    return Rewards(TIME_R1, weights).score(text, Task.TVG, sample)


def test_the_bonus_is_added_to_what_the_answers_earn() -> None:
    weights = RewardWeights(format=1.0, timestamp_iou=1.0, frame_dependence=0.3)
    texts = ["2.0 to 6.0", "2.0 to 5.0", "2.0 to 4.0"]  # IoU 1, 0.75, 0.5
    group = [score(f"<think>It is red.</think><answer>{text}</answer>", weights) for text in texts]
    rewards, windows = Rewards(TIME_R1, weights), [Span(2.0, 6.0)]
    found = rewards.with_frame_dependence(group, windows, [0.1, 0.3, 0.5])  # the last is not good enough
    assert [one.parts["frame_dependence"] for one in found] == [0.0, 0.0, 0.0]
    found = rewards.with_frame_dependence(group, windows, [0.1, 0.4, 0.5])
    assert [one.parts["frame_dependence"] for one in found] == [0.0, 1.0, 0.0]
    assert [one.total for one in found] == pytest.approx([2.0, 1.0 + 0.75 * 0.9 + 0.3, 1.0 + 0.5 * 0.8])
    lower = Rewards(TIME_R1, weights, frame_dependence=FrameDependenceSettings(min_iou=0.5))
    assert [one.parts["frame_dependence"] for one in lower.with_frame_dependence(group, windows, [0.1, 0.4, 0.5])] == [
        0.0, 1.0, 1.0
    ]  # fmt: skip
    unknown = rewards.with_frame_dependence(group, windows, None)
    assert [(one.parts["frame_dependence"], one.total) for one in unknown] == [(0.0, one.total) for one in group]


def test_it_may_be_the_only_reward() -> None:
    """It is added to nothing then; of a task that it is not for there is still none."""
    weights = RewardWeights(frame_dependence=1.0)
    assert (score("?", weights).parts, score("?", weights).total) == ({}, 0.0)
    with pytest.raises(ValueError, match="no weight above 0 applies to task action_recognition"):
        sample = Sample("s", "a.mp4", 10.0, "It rises.", (Span(2.0, 6.0),))
        Rewards(TIME_R1, weights).score("?", Task.ACTION_RECOGNITION, sample, ("rise",))


@pytest.mark.parametrize(
    ("name", "value"), [("radius_s", 0.0), ("radius_s", float("inf")), ("min_iou", -0.1), ("min_iou", 1.1)]
)
def test_bad_settings_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"frame_dependence\.{name} is {value}: give"):
        FrameDependenceSettings(**{name: value})


@pytest.fixture(scope="module")
def oracle(shared: Path) -> dict[str, Any]:
    path = shared / "data/oracles/taro_reward_parts.json"
    if not path.is_file():
        pytest.skip("needs the outputs of the authors' functions")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_the_authors_rewards_row_by_row(oracle: dict[str, Any]) -> None:
    """Their format score and their reading of the text are taken as given; ours clamps what is negative there."""
    for group in oracle["reward_groups"]:
        duration_s = group["duration"]
        truth = Span(max(group["gt"][0], 0.0), min(group["gt"][1], duration_s))
        dependences = [row["diff_log_prob"] for row in group["rollouts"]]
        for row in group["rollouts"]:
            answer = None if row["parsed"] is None else Answer(True, (Span(*row["parsed"]),))
            span = None if answer is None else answer.span
            graded = timestamp_iou_reward(span, [truth], duration_s)
            bonus = 0.0
            if None not in dependences:
                bonus = frame_dependence_reward(row["diff_log_prob"], dependences, iou(span, truth), min_iou=0.7)
            expected = row["score"] - min(row["iou_score"], 0.0)
            assert row["format_score"] + graded + 0.3 * bonus == pytest.approx(expected, abs=1e-9), row


def test_the_authors_bonus_from_differences(oracle: dict[str, Any]) -> None:
    for case in oracle["diff_cases"]:
        group = case["diff_log_prob"]
        earned = [frame_dependence_reward(d, group, 1.0, 0.7) == 1.0 for d in group]
        assert earned == case["earns_bonus"]
