import math
from pathlib import Path

import pytest

import tvg_lightning.rewards.total
from tvg_lightning.rewards.weights import AnchorSettings, LengthSettings, RewardWeights
from tvg_lightning.schema import AnswerFormat, Method, Task

FIELDS = tuple(RewardWeights().as_dict())


def positive(weights: RewardWeights) -> dict[str, float]:
    return {name: weight for name, weight in weights.as_dict().items() if weight}


def test_published_weights() -> None:
    assert positive(RewardWeights()) == {}
    assert positive(RewardWeights.published(Method.TVG_R1)) == {"format": 0.1, "iou": 0.9}
    assert positive(RewardWeights.published(Method.TIME_R1)) == {"format": 1.0, "timestamp_iou": 1.0}
    taro = {"format": 1.0, "timestamp_iou": 1.0, "frame_dependence": 0.3}
    assert positive(RewardWeights.published(Method.TARO)) == taro
    tar_tvg = ["format", "soft_iou", "anchor_accuracy", "anchor_refinement", "anchor_count"]
    assert positive(RewardWeights.published(Method.TAR_TVG)) == dict.fromkeys(tar_tvg, 1.0)
    inverted = ["format", "iou", "verb_completion", "action_recognition", "video_description"]
    assert positive(RewardWeights.published(Method.INVERT4TVG)) == dict.fromkeys(inverted, 1.0)


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf])
def test_bad_weights_are_refused_by_name(name: str, weight: float) -> None:
    with pytest.raises(ValueError, match=rf"reward\.{name} is"):
        RewardWeights(**{name: weight})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_anchors", 0),
        ("penalty", -1.0),
        ("penalty", math.inf),
        ("floor", 0.5),
        ("saturation", 0.0),
        ("saturation", 1.1),
    ],
)
def test_bad_anchor_settings_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"anchors\.{name} is"):
        AnchorSettings(**{name: value})


@pytest.mark.parametrize(("max_tokens", "cache_tokens"), [(100, 0), (100, -1), (100, 101), (0, 0)])
def test_bad_length_settings_are_refused_by_name(max_tokens: int, cache_tokens: int) -> None:
    with pytest.raises(
        ValueError, match=rf"length\.cache_tokens is {cache_tokens} and length\.max_tokens {max_tokens}"
    ):
        LengthSettings(max_tokens, cache_tokens)


def test_a_length_that_no_completion_reaches_is_refused() -> None:
    settings = LengthSettings(max_tokens=96, cache_tokens=16)
    settings.check_reached(81)  # a completion of 81 tokens costs 1/16
    with pytest.raises(ValueError, match=r"completions end at 80 tokens and cost nothing up to 80: set length\.max_to"):
        settings.check_reached(80)


@pytest.mark.parametrize("task", list(Task))
def test_which_weights_apply_to_a_task(task: Task) -> None:
    inversions = {"verb_completion", "action_recognition", "video_description"}
    for name in FIELDS:
        everywhere = name in ("format", "length")
        own = name == task.value if name in inversions else task is Task.TVG
        assert RewardWeights(**{name: 1.0}).applies_to(task) == (everywhere or own)
    assert not RewardWeights().applies_to(task)


@pytest.mark.parametrize(
    ("weights", "form", "words"),
    [
        (
            RewardWeights(anchor_count=1.0),
            AnswerFormat(Method.TIME_R1),
            r"reward\.anchor_count: this format has no",
        ),
        (RewardWeights(anchor_accuracy=1.0), AnswerFormat(Method.TAR_TVG, thought=False), r"reward\.anchor_accuracy"),
        (RewardWeights(refusal=1.0), AnswerFormat(Method.TAR_TVG), r"method tar_tvg cannot refuse.* timelens2"),
    ],
)
def test_a_reward_that_no_answer_can_earn_is_refused(weights: RewardWeights, form: AnswerFormat, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        weights.check_format(form)


@pytest.mark.parametrize("method", list(Method))
def test_the_published_rewards_can_be_earned(method: Method) -> None:
    RewardWeights.published(method).check_format(AnswerFormat(method))


def test_every_weight_has_a_file_of_its_name() -> None:
    stems = {path.stem for path in Path(tvg_lightning.rewards.total.__file__).parent.glob("*.py")}
    homes = {"anchor" if name.startswith("anchor_") else name for name in FIELDS}
    assert stems - {"__init__", "weights", "total", "inversion", "extra"} == homes
