"""Every file of configs/eval on the packaged tiny policy and two rendered videos, from train.py to the table."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

import train
from tests.runs import ROOT, grpo, stage, write_config
from tvg_lightning import __main__
from tvg_lightning.data.annotations import jsonl
from tvg_lightning.modules.evaluation import EMPTY_THOUGHT, merged_questions
from tvg_lightning.policy.settings import GenerationSettings
from tvg_lightning.presets import PRESETS, PresetName

EVAL = ROOT / "configs/eval"
SHORT = ["--model.init_args.evaluation.max_new_tokens", "6"]


def settings(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((EVAL / f"{name}.yaml").read_text(encoding="utf-8"))
    return found


@pytest.fixture
def config(tmp_path: Path, shapes: Path) -> Path:
    """A recipe whose rewards ask for anchors, which no preset's format has."""
    return write_config(tmp_path, shapes, stages=[stage("only", 1, **grpo())])


def test_every_preset_has_its_file() -> None:
    assert {path.stem for path in EVAL.glob("*.yaml")} == set(get_args(PresetName))


@pytest.mark.parametrize("name", get_args(PresetName))
def test_a_file_sets_all_that_a_number_depends_on(name: PresetName) -> None:
    """The same keys in each, so that nothing of the recipe below shows through."""
    given, wanted = settings(name), settings("timelens")
    assert given["data"].keys() == wanted["data"].keys()
    assert given["data"]["frames"].keys() == wanted["data"]["frames"].keys()
    evaluation = given["model"]["init_args"]["evaluation"]
    assert evaluation.keys() == wanted["model"]["init_args"]["evaluation"].keys()
    assert set(GenerationSettings.__dataclass_fields__) <= evaluation.keys()
    form = PRESETS[name].form
    assert (evaluation["preset"], evaluation["as_published"], given["data"]["method"]) == (name, False, form.method)
    assert given["data"]["thought"] in (form.thought, form.has_thought)


@pytest.mark.parametrize("name", get_args(PresetName))
def test_the_tiny_policy_is_evaluated(name: PresetName, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["--config", str(config), "--config", str(EVAL / f"{name}.yaml"), *SHORT]
    train.main(["validate", *args, "--data.cache", "null"])
    said = capsys.readouterr().out
    assert f"held_out/{name}/mIoU" in said and "held_out/mIoU" not in said
    assert ("held_out/omtg/C-Acc" in said) == (name == "omtg")


def test_predictions_carry_the_name_and_are_scored_by_it(
    config: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["--config", str(config), "--config", str(EVAL / "timelens2.yaml"), *SHORT]
    train.main(["predict", *args, "--model.init_args.evaluation.as_published", "true"])
    lines = (tmp_path / "predictions-rank0.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["preset"] for line in lines} == {"timelens2_as_published"}
    capsys.readouterr()
    files = [f"--annotations={shapes / 'held_out.jsonl'}", f"--predictions={tmp_path}"]
    __main__.main(["score", "--benchmark=jsonl", *files, "--preset=timelens2"])
    assert capsys.readouterr().out.splitlines()[1].startswith("timelens2 ")


def test_other_frames_and_an_empty_thought_change_the_name(config: Path, tmp_path: Path) -> None:
    """The tokens of the empty thought come on top of the limit, and stand in the text."""
    args = ["--config", str(config), "--config", str(EVAL / "time_r1.yaml"), *SHORT]
    nothink = ["--model.init_args.evaluation.empty_thought", "true"]
    train.main(["predict", *args, *nothink, "--data.frames.fps", "1", "--data.frames.decoder", "pyav"])
    lines = (tmp_path / "predictions-rank0.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert {one["preset"] for one in found} == {"time_r1_empty_thought_frames_changed"}
    assert all(one["text"].startswith(EMPTY_THOUGHT) for one in found)
    assert any(len(one["text"]) > len(EMPTY_THOUGHT) for one in found), "something is written behind it"
    alone = ["--config", str(config), "--config", str(EVAL / "timelens.yaml")]
    with pytest.raises(ValueError, match=r"evaluation\.empty_thought: answers in the format of data\.method timelens"):
        train.main(["validate", *alone, *nothink])


def test_equal_questions_are_one_as_published(config: Path, shapes: Path, tmp_path: Path) -> None:
    """Three samples, of which the second repeats the first: two count, and three without the script's faults."""
    lines = [json.loads(line) for line in (shapes / "held_out.jsonl").read_text(encoding="utf-8").splitlines()[:2]]
    asked = [lines[0], {**lines[0], "id": "again"}, lines[1]]
    file = tmp_path / "asked.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in asked), encoding="utf-8")
    samples = jsonl.read(file).samples
    assert merged_questions(samples) == {lines[0]["id"]}
    assert merged_questions(samples[1:]) == set()
    args = ["--config", str(config), "--config", str(EVAL / "timelens.yaml"), *SHORT, "--data.cache", "null"]
    args += ["--data.val", json.dumps([{"name": "held_out", "annotations": str(file), "limit": 3}])]
    seen: list[int] = []
    for flag in ("false", "true"):
        counting = {"class_path": "tests.doubles.CountAsked", "init_args": {"file": str(tmp_path / f"{flag}.json")}}
        more = ["--model.init_args.evaluation.as_published", flag, "--trainer.callbacks+", json.dumps(counting)]
        train.main(["validate", *args, *more])
        seen.append(int((tmp_path / f"{flag}.json").read_text(encoding="utf-8")))
    assert seen == [3, 2]


def test_training_in_a_format_that_cannot_earn_the_rewards_is_refused(config: Path) -> None:
    with pytest.raises(ValueError, match="this format has no anchors"):
        train.main(["fit", "--config", str(config), "--config", str(EVAL / "timelens.yaml")])


def test_another_format_under_a_presets_name_is_refused(config: Path) -> None:
    args = ["--config", str(config), "--config", str(EVAL / "timelens.yaml"), "--data.method", "time_r1"]
    with pytest.raises(ValueError, match=r"preset timelens asks for answers in the format data\.method timelens"):
        train.main(["validate", *args])
