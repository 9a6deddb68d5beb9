"""Rewards of your own are found by their import paths, checked before a run, and logged under their names."""

import inspect
import re
from pathlib import Path

import pytest

import train
from tests.runs import WITHOUT_VALIDATION, changed, grpo, stage, write_config
from tvg_lightning.rewards.extra import ExtraReward, extra_reward, load_reward
from tvg_lightning.rewards.total import Rewards
from tvg_lightning.rewards.weights import RewardWeights
from tvg_lightning.schema import Answer, AnswerFormat, Method, Sample, Span, Task
from tvg_lightning.traces import read_traces

TIME_R1 = AnswerFormat(Method.TIME_R1)

SAMPLE = Sample("s1", "a.mp4", 9.0, "a circle moves", windows=(Span(0.0, 8.0),))
HERE = "tests.rewards.test_extra"


def brevity(text: str, task: Task, answer: Answer, sample: Sample) -> float:
    """1 for an empty text, 0 from 100 characters on."""
    assert (task is Task.TVG) >= (answer.span is not None) and sample.query
    return max(0.0, 1.0 - len(text) / 100)


def always_half(text: str, task: Task, answer: Answer, sample: Sample) -> float:
    return 0.5


def iou(text: str, task: Task, answer: Answer, sample: Sample) -> float:
    return 1.0


def unknown(text: str, task: Task, answer: Answer, sample: Sample) -> float:
    return float("nan")


def words(text: str, task: Task, answer: Answer, sample: Sample) -> str:
    return text


def fails(text: str, task: Task, answer: Answer, sample: Sample) -> float:
    return {"s2": 1.0}[sample.sample_id]


def of_two(answer: Answer, sample: Sample) -> float:
    return 1.0


def of_five(text: str, task: Task, answer: Answer, sample: Sample, more: int) -> float:
    return 1.0


async def later(text: str, task: Task, answer: Answer, sample: Sample) -> float:
    return 1.0


NO_FUNCTION = 3


@pytest.mark.parametrize("task", list(Task))
def test_rewards_of_ones_own_count_for_every_task(task: Task) -> None:
    weights = RewardWeights(extra=(ExtraReward(f"{HERE}.brevity", 0.5), ExtraReward(f"{HERE}.always_half", 2.0)))
    scored = Rewards(TIME_R1, weights).score("x" * 60, task, SAMPLE, ("move",))
    assert scored.parts == {"brevity": pytest.approx(0.4), "always_half": 0.5}
    assert scored.total == pytest.approx(0.5 * 0.4 + 2.0 * 0.5)
    assert weights.applies_to(task) and weights.as_dict()["brevity"] == 0.5


def test_a_weight_of_0_leaves_a_function_out() -> None:
    weights = RewardWeights(format=1.0, extra=(ExtraReward(f"{HERE}.fails", 0.0),))
    assert Rewards(TIME_R1, weights).score("x", Task.TVG, SAMPLE).parts == {"format": 0.0}


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("brevity", "brevity cannot be imported"),
        ("no_such_package.brevity", "no_such_package.brevity cannot be imported"),
        (f"{HERE}.no_such", f"the module {HERE} has no function no_such"),
        (f"{HERE}.NO_FUNCTION", "has no function NO_FUNCTION"),
        (f"{HERE}.iou", "the name iou is taken"),
        (f"{HERE}.of_two", "of_two cannot be called as of_two(text, task, answer, sample) (too many positional"),
        ("math.hypot", "hypot cannot be called as hypot(text, task, answer, sample) (no signature found"),
        (f"{HERE}.of_five", "cannot be called as of_five(text, task, answer, sample) (missing a required argument"),
        (f"{HERE}.later", "later gives no number at once"),
    ],
)
def test_what_cannot_be_a_reward_is_refused(function: str, said: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape("reward.extra: ") + ".*" + re.escape(said)):
        RewardWeights(extra=(ExtraReward(function),))


def test_two_functions_of_one_name_and_a_weight_below_0_are_refused() -> None:
    with pytest.raises(ValueError, match="the name brevity is taken"):
        RewardWeights(extra=(ExtraReward(f"{HERE}.brevity"), ExtraReward(f"{HERE}.brevity")))
    with pytest.raises(ValueError, match=r"brevity: weight is -1\.0: give a finite weight"):
        ExtraReward(f"{HERE}.brevity", -1.0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("unknown", "gave nan for sample 's1': a finite number is needed"),
        ("words", "gave 'x' for sample 's1': a finite number is needed"),
        ("fails", "failed for sample 's1': KeyError: 's1' ("),
    ],
)
def test_a_fault_names_the_function_and_the_sample(name: str, said: str) -> None:
    assert load_reward(f"{HERE}.brevity") is brevity
    with pytest.raises(ValueError, match=re.escape(f"reward.extra: {HERE}.{name} {said}")) as error:
        extra_reward(f"{HERE}.{name}", "x", Task.TVG, Answer(False, None), SAMPLE)
    if name == "fails":
        line = inspect.getsourcelines(fails)[1] + 1
        assert str(error.value).endswith(f"test_extra.py:{line})") and isinstance(error.value.__cause__, KeyError)


def test_a_run_with_rewards_of_ones_own(tmp_path: Path, shapes: Path) -> None:
    extra = [{"function": f"{HERE}.brevity", "weight": 0.5}, {"function": f"{HERE}.always_half", "weight": 2.0}]
    reward = {"format": 1.0, "extra": extra}
    config = write_config(tmp_path, shapes, stages=[stage("only", 2, **(grpo() | {"reward": reward}))])
    with changed(config) as given:
        given["trainer"]["logger"] = {
            "class_path": "lightning.pytorch.loggers.CSVLogger",
            "init_args": {"save_dir": str(tmp_path), "name": "log", "version": ""},
        }
    train.main(["fit", "--config", str(config), *WITHOUT_VALIDATION])
    (file,) = (tmp_path / "traces").glob("only*.jsonl")
    traces = list(read_traces(file))
    assert {frozenset(trace.rewards) for trace in traces} == {frozenset({"format", "brevity", "always_half"})}
    for trace in traces:
        assert trace.rewards["brevity"] == pytest.approx(max(0.0, 1.0 - len(trace.text) / 100))
        assert trace.reward == pytest.approx(trace.rewards["format"] + 0.5 * trace.rewards["brevity"] + 1.0)
    columns = (tmp_path / "log" / "metrics.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert {"train/reward/brevity", "train/reward/always_half"} <= set(columns)


def test_a_fault_ends_the_run_and_a_function_that_is_none_its_start(tmp_path: Path, shapes: Path) -> None:
    reward = {"format": 1.0, "extra": [{"function": f"{HERE}.fails"}]}
    config = write_config(tmp_path, shapes, stages=[stage("only", 2, **(grpo() | {"reward": reward}))])
    with pytest.raises(ValueError, match=rf"reward\.extra: {HERE}\.fails failed for sample 'train_\d+_\d': KeyError"):
        train.main(["fit", "--config", str(config), *WITHOUT_VALIDATION])
    with changed(config) as given:
        given["model"]["init_args"]["stages"][0]["reward"]["extra"][0]["function"] = f"{HERE}.of_two"
        given["model"]["init_args"]["policy"]["checkpoint"] = "no such checkpoint"
    with pytest.raises(ValueError, match="of_two cannot be called as of_two"):
        train.main(["fit", "--config", str(config), *WITHOUT_VALIDATION])
