import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.rewards.total import RewardParts, Rewards
from tvg_lightning.rewards.weights import AnchorSettings, LengthSettings, RewardWeights
from tvg_lightning.schema import AnswerFormat, Method, Sample, Span, Task

TRUTH = Span(10.0, 20.0)
PERFECT = {
    Method.TAR_TVG: (
        "<think><timestamp>5.0 to 20.0</timestamp> or <timestamp>8.0 to 20.0</timestamp></think>"
        "<answer>10.0 to 20.0</answer>"
    ),
    Method.TVG_R1: "<think>It moves.</think><time>[10.0, 20.0]</time>",
    Method.TIME_R1: "<think>It moves.</think><answer>10.0 to 20.0</answer>",
    Method.INVERT4TVG: "<think>It moves.</think><answer>10.0 to 20.0</answer>",
    Method.TIMELENS2: "[[10.0, 20.0]]",
    Method.ORA_RL: "<answer>10 to 20</answer>",
    Method.TIMELENS: "The event happens in 10.0 - 20.0 seconds.",
    Method.TARO: "<think>It moves.</think><answer>10.0s to 20.0s</answer>",
    Method.MUSEG: "<think>It moves.</think><answer>10.00-20.00</answer>",
    Method.OMTG: "<think>It moves.</think><time>10.0 - 20.0 seconds</time>",
}


def score(
    text: str,
    method: Method,
    weights: RewardWeights,
    windows: tuple[Span, ...] | None = (TRUTH,),
    task: Task = Task.TVG,
    query_verbs: tuple[str, ...] = ("rise",),
    num_tokens: int = 0,
    length: LengthSettings = LengthSettings(),  # noqa: B008  # frozen
) -> RewardParts:
    sample = Sample("s1", "a.mp4", 40.0, "a circle rises", windows)
    return Rewards(AnswerFormat(method), weights, AnchorSettings(), length).score(
        text, task, sample, query_verbs, num_tokens
    )


def total(text: str, method: Method, windows: tuple[Span, ...] = (TRUTH,)) -> float:
    weights = RewardWeights.published(method)
    return score(text, method, weights, windows).total


def test_tar_tvg_hand_computed() -> None:
    weights = RewardWeights(format=1.0, soft_iou=2.0, anchor_accuracy=3.0, anchor_refinement=5.0, anchor_count=7.0)
    text = PERFECT[Method.TAR_TVG].replace("</think>", "<timestamp>0.0 to 5.0</timestamp></think>")
    reward = score(text, Method.TAR_TVG, weights)
    accuracy = (1 * 10 / 15 + 2 * 10 / 12 + 3 * -5 / 20) / 6
    expected = {
        "format": 1.0,
        "soft_iou": 1.0,
        "anchor_accuracy": pytest.approx(accuracy),
        "anchor_refinement": pytest.approx(2 / 3),
        "anchor_count": -0.5,
    }
    assert reward.parts == expected
    assert reward.total == pytest.approx(1 + 2 + 3 * accuracy + 5 * 2 / 3 - 7 * 0.5)
    assert len(reward.answer.anchors) == 3


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (Method.TAR_TVG, 1 + 1 + (10 / 15 + 2 * 10 / 12) / 3 + 1),
        (Method.TVG_R1, 1.0),
        (Method.TIME_R1, 2.0),
        (Method.INVERT4TVG, 2.0),
    ],
)
def test_the_truth_in_the_format_earns_the_most(method: Method, expected: float) -> None:
    assert total(PERFECT[method], method) == pytest.approx(expected)


@pytest.mark.parametrize("method", [Method.TIME_R1, Method.INVERT4TVG])
def test_out_of_the_format_the_lineage_earns_nothing(method: Method) -> None:
    assert total("10.0 to 20.0", method) == 0.0
    assert total(PERFECT[method] + " there", method) == 0.0


def test_tvg_r1_pays_the_time_without_the_format() -> None:
    assert total("<time>[10.0, 20.0]</time>", Method.TVG_R1) == pytest.approx(0.9)
    assert total("<think>a</think><time>soon</time>", Method.TVG_R1) == pytest.approx(0.1)


@given(st.integers(0, 39), st.integers(1, 40))
def test_tar_tvg_never_gains_by_withholding_the_answer(start: int, length: int) -> None:
    """A far-off answer has a negative soft IoU; the format reward keeps silence from being better."""
    far = f"<think><timestamp>1.0 to 2.0</timestamp></think><answer>{start}.0 to {start + length}.0</answer>"
    none = "<think><timestamp>1.0 to 2.0</timestamp></think><answer>never</answer>"
    assert total(far, Method.TAR_TVG) > total(none, Method.TAR_TVG)


def test_several_windows_are_scored_against_the_answers_best() -> None:
    windows = (Span(0.0, 5.0), TRUTH)
    assert total(PERFECT[Method.TAR_TVG], Method.TAR_TVG, windows) == total(PERFECT[Method.TAR_TVG], Method.TAR_TVG)


@pytest.mark.parametrize(
    ("task", "good", "bad"),
    [
        (Task.VERB_COMPLETION, "The red circle rises.", "The red circle falls."),
        (Task.ACTION_RECOGNITION, "rising", "falling"),
        (Task.VIDEO_DESCRIPTION, "Something red rises.", "Something red falls."),
    ],
)
def test_inversion_hand_computed(task: Task, good: str, bad: str) -> None:
    weights = RewardWeights.published(Method.INVERT4TVG)

    def reward(text: str) -> tuple[dict[str, float], float]:
        scored = score(text, Method.INVERT4TVG, weights, (), task)
        return scored.parts, scored.total

    assert reward(f"<answer>{good}</answer>") == ({"format": 1.0, task.value: 1.0}, 2.0)
    assert reward(f"<answer>{bad}</answer>") == ({"format": 1.0, task.value: 0.0}, 1.0)
    assert reward(f"<think>so</think><answer>{good}</answer>") == ({"format": 0.0, task.value: 0.0}, 0.0)


@pytest.mark.parametrize(
    ("text", "windows", "parts"),
    [
        ("[[0, 10], [20, 30]]", (Span(0, 10), Span(20, 30)), {"set_iou": 1.0, "wasserstein": 1.0, "refusal": 1.0}),
        ("[[0, 10]]", (Span(0, 10), Span(20, 30)), {"set_iou": 0.5, "wasserstein": 0.6065306597126334, "refusal": 1.0}),
        ("[]", (), {"set_iou": 1.0, "wasserstein": 1.0, "refusal": 1.0}),
        ("[[0, 10]]", (), {"set_iou": 0.0, "wasserstein": 0.0, "refusal": 0.0}),
        ("[]", (Span(0, 10),), {"set_iou": 0.0, "wasserstein": 0.0, "refusal": 0.0}),
        ("never", (), {"set_iou": 0.0, "wasserstein": 0.0, "refusal": 0.0}),
    ],
)
def test_sets_hand_computed(text: str, windows: tuple[Span, ...], parts: dict[str, float]) -> None:
    """Half of two windows: its 10 s lie 10 s on average from the 20 s of the truth, exp(-10 / 20)."""
    weights = RewardWeights(set_iou=1.0, wasserstein=1.0, refusal=1.0)
    assert score(text, Method.TIMELENS2, weights, windows).parts == pytest.approx(parts)


def test_nothing_is_near_an_event_that_is_not_in_the_video() -> None:
    weights = RewardWeights(iou=1.0, soft_iou=1.0, timestamp_iou=1.0, anchor_accuracy=1.0, anchor_refinement=1.0)
    assert set(score(PERFECT[Method.TAR_TVG], Method.TAR_TVG, weights, ()).parts.values()) == {0.0}


def test_what_cannot_be_scored_is_refused() -> None:
    weights = RewardWeights.published(Method.TAR_TVG)
    with pytest.raises(ValueError, match="truth of the sample is unknown"):
        score("x", Method.TAR_TVG, weights, None)
    with pytest.raises(ValueError, match="no weight above 0 applies to task tvg"):
        score("x", Method.TAR_TVG, RewardWeights())
    with pytest.raises(ValueError, match="without a verb"):
        score("x", Method.TAR_TVG, weights, task=Task.ACTION_RECOGNITION, query_verbs=())


@pytest.mark.parametrize("task", list(Task))
def test_length_counts_for_every_task(task: Task) -> None:
    weights, length = RewardWeights(length=2.0), LengthSettings(max_tokens=100, cache_tokens=20)

    def reward(num_tokens: int) -> tuple[dict[str, float], float]:
        scored = score("", Method.TAR_TVG, weights, task=task, num_tokens=num_tokens, length=length)
        return scored.parts, scored.total

    assert reward(80) == ({"length": 0.0}, 0.0)
    assert reward(95) == ({"length": -0.75}, -1.5)


TAGS = ("think", "answer", "timestamp", "time")
FRAGMENTS = (
    *(f"<{tag}>" for tag in TAGS),
    *(f"</{tag}>" for tag in TAGS),
    "10.0 to 20.0",
    "[10.0, 20.0]",
    "8 and 20",
    "20.0 to 10.0",
    "nan to inf",
    "The red circle rises.",
    " ",
)
anything = st.text() | st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), max_size=12).map("".join)


@given(anything, st.sampled_from(list(Method)), st.sampled_from(list(Task)))
def test_no_text_of_the_model_raises(text: str, method: Method, task: Task) -> None:
    names = RewardWeights().as_dict()
    weights, length = RewardWeights(**dict.fromkeys(names, 1.0)), LengthSettings()
    for wrapped in (text, f"<answer>{text}</answer>", f"<think></think><answer>{text}</answer>"):
        reward = score(wrapped, method, weights, task=task, num_tokens=2000, length=length)
        assert set(reward.parts) <= set(names)
        assert reward.total == pytest.approx(sum(reward.parts.values()))
        assert all(-1.0 <= part <= 1.0 for part in reward.parts.values())


@given(anything, st.sampled_from(list(Method)))
def test_the_truth_in_the_format_beats_every_text_out_of_it(text: str, method: Method) -> None:
    """With the published weights, whatever the text says: its words, put in the format beside the truth, earn more."""
    words = text.replace("<", "")
    anchor = "<timestamp>10.0 to 20.0</timestamp>" if method is Method.TAR_TVG else ""
    answer = PERFECT[method].rpartition("</think>")[2]
    weights = RewardWeights.published(method)
    told = score(text, method, weights)
    if not told.answer.follows_format:
        in_format = f"<think>{words}{anchor}</think>{answer}" if AnswerFormat(method).has_thought else answer
        assert told.total < total(in_format, method)
