"""Rewards of your own are found by their import paths, checked before a run, and logged under their names."""

from pathlib import Path

import pytest

import train
from tests.runs import WITHOUT_VALIDATION, grpo, stage, write_config
from tvg_lightning.rewards.own import load_reward, own_reward
from tvg_lightning.rewards.total import Rewards
from tvg_lightning.rewards.weights import RewardWeights
from tvg_lightning.schema import Answer, AnswerFormat, Method, Sample, Span, Task
from tvg_lightning.traces import read_traces

TIME_R1 = AnswerFormat(Method.TIME_R1)

SAMPLE = Sample("s1", "a.mp4", 9.0, "a circle moves", windows=(Span(0.0, 8.0),))
HERE = "tests.rewards.test_own"


def brevity(text: str, task: Task, answer: Answer, sample: Sample) -> float:
    """1 for an empty text, 0 from 100 characters on."""
    assert (task is Task.TVG) >= (answer.span is not None) and sample.query
    return max(0.0, 1.0 - len(text) / 100)


def unknown(text: str, task: Task, answer: Answer, sample: Sample) -> float:
    return float("nan")


NO_FUNCTION = 3


@pytest.mark.parametrize("task", list(Task))
def test_a_reward_of_ones_own_counts_for_every_task(task: Task) -> None:
    weights = RewardWeights(own={f"{HERE}.brevity": 0.5})
    scored = Rewards(TIME_R1, weights).score("x" * 60, task, SAMPLE, ("move",))
    assert scored.parts == {"brevity": pytest.approx(0.4)} and scored.total == pytest.approx(0.2)
    assert weights.applies_to(task) and weights.as_dict()["brevity"] == 0.5


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"brevity": 1.0}, "reward.own.brevity cannot be imported"),
        ({"no_such_package.brevity": 1.0}, "reward.own.no_such_package.brevity cannot be imported"),
        ({f"{HERE}.no_such": 1.0}, f"the module {HERE} has no function no_such"),
        ({f"{HERE}.NO_FUNCTION": 1.0}, "has no function NO_FUNCTION"),
        ({"another.iou": 1.0}, "the name iou is taken"),
        ({f"{HERE}.brevity": 1.0, "another.brevity": 1.0}, "the name brevity is taken"),
        ({f"{HERE}.brevity": -1.0}, "reward.brevity is -1.0"),
    ],
)
def test_what_cannot_be_a_reward_is_refused(own: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        RewardWeights(own=own)


def test_a_value_that_is_no_finite_number_names_its_reward_and_sample() -> None:
    assert load_reward(f"{HERE}.brevity") is brevity
    with pytest.raises(ValueError, match=rf"reward\.own\.{HERE}\.unknown gave nan for sample 's1'"):
        own_reward(f"{HERE}.unknown", "x", Task.TVG, Answer(False, None), SAMPLE)


def test_a_run_with_a_reward_of_ones_own(tmp_path: Path, shapes: Path) -> None:
    reward = {"format": 1.0, "own": {f"{HERE}.brevity": 0.5}}
    config = write_config(tmp_path, shapes, stages=[stage("only", 2, **(grpo() | {"reward": reward}))])
    train.main(["fit", "--config", str(config), *WITHOUT_VALIDATION])
    (file,) = (tmp_path / "traces").glob("only*.jsonl")
    traces = list(read_traces(file))
    assert {frozenset(trace.rewards) for trace in traces} == {frozenset({"format", "brevity"})}
    for trace in traces:
        assert trace.rewards["brevity"] == pytest.approx(max(0.0, 1.0 - len(trace.text) / 100))
        assert trace.reward == pytest.approx(trace.rewards["format"] + 0.5 * trace.rewards["brevity"])
