"""Every refusal names its key; what a list of stages and its parts must agree on."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tvg_lightning.data.video import FrameSettings
from tvg_lightning.modules.evaluation_settings import EvaluationSettings
from tvg_lightning.modules.grpo_settings import GRPOSettings
from tvg_lightning.modules.importance_correction import ImportanceCorrectionSettings
from tvg_lightning.modules.optimizer_settings import OptimizerSettings, PartSettings
from tvg_lightning.modules.settings import PlateauSettings, StageSettings, check_frames, check_stages
from tvg_lightning.modules.warm_start import WarmStartSettings
from tvg_lightning.oracle import OracleSettings
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
        (lambda: StageSettings("a", grpo=GRPO, steps=1), r'stages: "a": reward: every weight is 0'),
        (lambda: StageSettings("a", sft=SFT, reward=REWARD, steps=1), r'stages: "a": reward is for grpo stages'),
        (lambda: StageSettings("a", sft=SFT, plateau=PlateauSettings(), steps=1), 'stages: "a": plateau is for grpo'),
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


@pytest.mark.parametrize("kind", [EvaluationSettings, GRPOSettings, OptimizerSettings, PartSettings])
def test_checkpoints_from_before_settings_had_files_of_their_own_are_read(
    kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They name all classes of settings as of one file."""
    with monkeypatch.context() as patch:
        patch.setattr(kind, "__module__", "tvg_lightning.modules.settings")
        torch.save({"it": kind()}, tmp_path / "old.ckpt")
    assert b"tvg_lightning.modules.settings" in (tmp_path / "old.ckpt").read_bytes()
    assert torch.load(tmp_path / "old.ckpt", weights_only=True) == {"it": kind()}


def test_all_that_grpo_may_have_is_read_from_a_checkpoint(tmp_path: Path) -> None:
    """And of one from before a key was there, the key has its default."""
    with_oracle = GRPOSettings(oracle=OracleSettings(), scale_rewards="none", beta=0.0)
    saved = [GRPOSettings(warm_start=WarmStartSettings()), with_oracle]
    del saved[0].__dict__["importance_correction"]
    torch.save(saved, tmp_path / "it.ckpt")
    warm, oracle = torch.load(tmp_path / "it.ckpt", weights_only=True)
    assert "importance_correction" not in warm.__dict__
    assert warm.importance_correction == ImportanceCorrectionSettings()
    assert warm.warm_start == WarmStartSettings() and oracle == saved[1]
