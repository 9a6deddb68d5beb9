"""Every refusal names its key; the schedules by hand."""

import math
from collections.abc import Callable

import pytest

from tvg_lightning.data.video import FrameSettings
from tvg_lightning.modules.settings import (
    EvaluationSettings,
    GRPOSettings,
    OptimizerSettings,
    PlateauSettings,
    StageSettings,
    check_frames,
    check_stages,
)
from tvg_lightning.policy.settings import GenerationSettings
from tvg_lightning.rewards.weights import RewardWeights
from tvg_lightning.schema import AnswerFormat, Method
from tvg_lightning.tasks.mixture import Mixture

REWARD = RewardWeights(iou=1.0)
GRPO = GRPOSettings()
SFT = True
NAN = math.nan


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: OptimizerSettings(lr=0.0), r"optimizer\.lr must be a positive number, not 0\.0"),
        (lambda: OptimizerSettings(lr=NAN), r"optimizer\.lr"),
        (lambda: OptimizerSettings(weight_decay=-0.1), r"optimizer\.weight_decay must not be negative"),
        (lambda: OptimizerSettings(weight_decay=NAN), r"optimizer\.weight_decay"),
        (lambda: OptimizerSettings(betas=(0.9, 1.0)), r"optimizer\.betas must lie in \[0, 1\)"),
        (lambda: OptimizerSettings(warmup_steps=-1), r"optimizer\.warmup_steps must not be negative"),
        (lambda: GRPOSettings(num_generations=1), r"grpo\.num_generations must be at least 2"),
        (lambda: GRPOSettings(beta=-0.1), r"grpo\.beta must not be negative"),
        (lambda: GRPOSettings(beta=NAN), r"grpo\.beta"),
        (lambda: GRPOSettings(clip_low=0.0), r"grpo\.clip_low must be positive"),
        (lambda: GRPOSettings(clip_high=NAN), r"grpo\.clip_high must be positive"),
        (
            lambda: GRPOSettings(generation=GenerationSettings(temperature=0.0)),
            r"grpo\.generation\.temperature 0",
        ),
        (
            lambda: GRPOSettings(generation=GenerationSettings(repetition_penalty=1.05)),
            r"grpo\.generation: repetition_penalty and presence_penalty are for evaluation: the loss does not know",
        ),
        (
            lambda: GRPOSettings(generation=GenerationSettings(presence_penalty=1.5)),
            r"grpo\.generation: repetition_penalty and presence_penalty are for evaluation",
        ),
        (lambda: EvaluationSettings(top_p=0.0), r"evaluation\.top_p must lie in"),
        (
            lambda: EvaluationSettings(repetition_penalty=0.0),
            r"evaluation\.repetition_penalty must be a positive number",
        ),
        (lambda: EvaluationSettings(as_published=True), r"evaluation\.as_published is the way of a preset: name one"),
        (lambda: StageSettings("a", grpo=GRPO, steps=1), r'stages: "a": reward: every weight is 0'),
        (lambda: StageSettings("a", sft=SFT, reward=REWARD, steps=1), r'stages: "a": reward is for grpo stages'),
        (lambda: EvaluationSettings(max_new_tokens=0), r"evaluation\.max_new_tokens must be at least 1"),
        (lambda: EvaluationSettings(max_anchors=-1), r"evaluation\.max_anchors must not be negative"),
        (lambda: PlateauSettings(window=0), r"plateau\.window must be at least 1"),
        (lambda: PlateauSettings(min_gain=NAN), r"plateau\.min_gain must be a finite number"),
        (lambda: StageSettings("", sft=SFT, steps=1), r'stages: name ""'),
        (lambda: StageSettings("a/b", sft=SFT, steps=1), r'stages: name "a/b".*file name'),
        (lambda: StageSettings("a", steps=1), r'stages: "a" needs exactly one of grpo: and sft: true'),
        (
            lambda: StageSettings("a", grpo=GRPO, sft=SFT, steps=1),
            r'stages: "a" needs exactly one of grpo: and sft: true',
        ),
        (lambda: StageSettings("a", sft=SFT), r'stages: "a" needs steps or epochs'),
        (lambda: StageSettings("a", sft=SFT, steps=0), r'stages: "a": steps and epochs must be positive'),
        (lambda: StageSettings("a", sft=SFT, epochs=0.0), r'stages: "a": steps and epochs must be positive'),
        (
            lambda: StageSettings("a", sft=SFT, epochs=math.inf),
            r'stages: "a": steps and epochs must be positive',
        ),
        (
            lambda: StageSettings("a", sft=SFT, steps=1, batch_size=0),
            r'stages: "a": batch_size must be at least 1',
        ),
        (
            lambda: StageSettings("a", grpo=GRPO, reward=REWARD, steps=1, harvest_from="b"),
            r'"a": harvest_from is for sft stages',
        ),
    ],
)
def test_refusals_name_their_key(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def stage(name: str, harvest_from: str | None = None, is_sft: bool = False) -> StageSettings:
    if is_sft or harvest_from is not None:
        return StageSettings(name, sft=SFT, steps=1, harvest_from=harvest_from)
    return StageSettings(name, grpo=GRPO, reward=REWARD, steps=1)


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([], " is empty"),
        ([stage("a"), stage("a")], 'the name "a" is used twice'),
        ([stage("b", "a"), stage("a")], '"b" has harvest_from "a", which is no earlier grpo stage'),
        ([stage("a", is_sft=True), stage("b", "a")], '"b" has harvest_from "a"'),
        ([stage("b", "b")], '"b" has harvest_from "b"'),
    ],
)
def test_lists_of_stages_that_cannot_run(stages: list[StageSettings], words: str) -> None:
    with pytest.raises(ValueError, match=f"^stages.*{words}"):
        check_stages(stages)


def test_the_stages_of_the_papers_can_run() -> None:
    check_stages([stage("explore"), stage("imitate", "explore"), stage("refine")])  # TAR-TVG
    check_stages([stage("cold_start", is_sft=True), stage("reinforce")])  # TVG-R1


@pytest.mark.parametrize(
    ("schedule", "warmup_steps", "factors"),
    [
        ("constant", 0, [1.0, 1.0, 1.0, 1.0]),
        ("constant", 2, [0.5, 1.0, 1.0, 1.0]),
        ("linear", 0, [1.0, 0.75, 0.5, 0.25]),
        ("linear", 2, [0.5, 1.0, 1.0, 0.5]),
        ("cosine", 0, [1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]),
        ("cosine", 2, [0.5, 1.0, 1.0, 0.5]),
        ("cosine", 8, [0.125, 0.25, 0.375, 0.5]),  # a warm-up longer than the stage
    ],
)
def test_schedules_by_hand(schedule: str, warmup_steps: int, factors: list[float]) -> None:
    settings = OptimizerSettings(warmup_steps=warmup_steps, schedule=schedule)  # type: ignore[arg-type]
    assert [settings.factor(step, 4) for step in range(4)] == pytest.approx(factors)


def test_the_factor_after_the_last_step() -> None:
    """PyTorch asks for it when the last step has been taken."""
    assert OptimizerSettings(schedule="linear").factor(4, 4) == 0.0
    assert OptimizerSettings(schedule="cosine").factor(9, 4) == pytest.approx(0.0)
    assert OptimizerSettings(warmup_steps=4, schedule="linear").factor(4, 4) == 1.0


def test_a_task_that_no_reward_counts_for_is_refused() -> None:
    with pytest.raises(ValueError, match="action_recognition"):
        StageSettings("only", grpo=GRPO, reward=REWARD, steps=1, mixture=Mixture(tvg=0.5, action_recognition=0.5))
    with pytest.raises(ValueError, match="tvg"):
        StageSettings("only", grpo=GRPO, reward=RewardWeights(verb_completion=1.0), steps=1)


def test_a_format_that_a_stage_cannot_be_in_is_refused_with_the_stage() -> None:
    stage = StageSettings("imitate", sft=SFT, steps=1, harvest_from="explore")
    stage.check_format(AnswerFormat(Method.TAR_TVG))
    for form in (AnswerFormat(Method.TIMELENS2), AnswerFormat(Method.TAR_TVG, thought=False)):
        with pytest.raises(ValueError, match='"imitate" learns a harvest, whose rule asks for anchors'):
            stage.check_format(form)
    anchors = StageSettings("explore", grpo=GRPO, reward=RewardWeights(iou=1.0, anchor_count=1.0), steps=1)
    with pytest.raises(ValueError, match=r'stages: "explore": reward\.anchor_count: this format has no anchors'):
        anchors.check_format(AnswerFormat(Method.TIME_R1))


@pytest.mark.parametrize(
    ("frames", "is_refused"),
    [
        (FrameSettings(fps=0.33), True),  # a pair every 6.06 s, and 6 s of them are shuffled
        (FrameSettings(fps=0.34), False),
        (FrameSettings(fps=0.33, uniform_frames=64), False),  # how far apart they are depends on the video
    ],
)
def test_frames_that_cannot_be_shuffled_are_refused(frames: FrameSettings, is_refused: bool) -> None:
    if not is_refused:
        check_frames(3.0, frames, "evaluation.frame_dependence")
        return
    with pytest.raises(
        ValueError, match=r"evaluation\.frame_dependence: .* every 6\.06061 s.*raise it to 0\.333333 or"
    ):
        check_frames(3.0, frames, "evaluation.frame_dependence")
