"""Truth that the asked-for format cannot say is refused with its file and line, before any weight loads."""

import json
from pathlib import Path

import pytest

import train
from tests.runs import grpo, stage, write_config
from tvg_lightning.data.annotations import jsonl
from tvg_lightning.data.truth import blind_splits, check_answerable, check_trainable
from tvg_lightning.schema import AnswerFormat, Method, Task

ONE, TWO, NONE, UNKNOWN = [[1, 2]], [[1, 2], [4, 5]], [], None


def file_of(folder: Path, *truths: list[list[int]] | None) -> str:
    """Annotations with these truths, a line each."""
    folder.mkdir(exist_ok=True)
    path = folder / "some.jsonl"
    lines = [{"id": f"s{k}", "video": "a.mp4", "query": "q", "duration": 9, "windows": w} for k, w in enumerate(truths)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("truths", "method", "words"),
    [
        ((ONE, TWO), Method.TIME_R1, r"some\.jsonl:2: sample 's1' has 2 true windows, .* data\.method timelens2"),
        ((ONE, ONE, NONE), Method.TVG_R1, r"some\.jsonl:3: sample 's2' is about nothing .* data\.method timelens2"),
        ((UNKNOWN,), Method.TIMELENS2, r"some\.jsonl:1: sample 's0' has no true window, .*; \[\] says that"),
    ],
)
def test_training_refuses_what_no_answer_could_be_right_about(
    truths: tuple[list[list[int]] | None, ...], method: Method, words: str, tmp_path: Path
) -> None:
    file = file_of(tmp_path, *truths)
    with pytest.raises(ValueError, match=rf"^data\.train: .*{words}"):
        check_trainable("data.train", file, jsonl.read(file).samples, AnswerFormat(method))


def test_a_format_of_sets_says_them_all(tmp_path: Path) -> None:
    file = file_of(tmp_path, ONE, TWO, NONE)
    check_trainable("data.train", file, jsonl.read(file).samples, AnswerFormat(Method.TIMELENS2, thought=True))


def test_evaluation_holds_one_window_against_several_but_not_against_none(tmp_path: Path) -> None:
    file = file_of(tmp_path, ONE, TWO, UNKNOWN)
    check_answerable("data.val[0]", file, jsonl.read(file).samples, AnswerFormat(Method.TAR_TVG))
    file = file_of(tmp_path, ONE, NONE)
    with pytest.raises(ValueError, match=r"^data\.val\[0\]: .*some\.jsonl:2: sample 's1' is about nothing"):
        check_answerable("data.val[0]", file, jsonl.read(file).samples, AnswerFormat(Method.TAR_TVG))


def test_inversions_beside_grounding_need_something_to_invert(tmp_path: Path) -> None:
    """Of queries that are all about nothing; one that is not is enough, and grounding alone needs none."""
    form, tasks = AnswerFormat(Method.TIMELENS2), [Task.TVG, Task.VERB_COMPLETION, Task.VIDEO_DESCRIPTION]
    absent = [(file := file_of(tmp_path / "none", NONE, NONE, UNKNOWN), jsonl.read(file).samples)]
    words = r"^data\.val\[0\]\.annotations: .*some\.jsonl: every query is about nothing .* verb_completion, video_desc"
    with pytest.raises(ValueError, match=words):
        blind_splits("val", absent, tasks, form)
    assert blind_splits("val", absent, [Task.TVG], form) == []
    some = [(file := file_of(tmp_path / "some", NONE, ONE), jsonl.read(file).samples)]
    assert blind_splits("val", some, tasks, form) == []


@pytest.mark.parametrize("key", ["train", "val"])
def test_it_is_said_before_any_weight_loads(
    key: str, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = file_of(tmp_path, NONE)
    (tmp_path / "a.mp4").touch()
    monkeypatch.setattr("tvg_lightning.modules.grounding.PolicyBackbone", None)
    config = write_config(tmp_path, shapes, stages=[stage("only", 2, **grpo())])
    held_out = json.dumps([{"name": "some", "annotations": file if key == "val" else file_of(tmp_path / "val", ONE)}])
    training = file if key == "train" else file_of(tmp_path / "train", ONE)
    files = ["--data.train", training, "--data.val", held_out]
    with pytest.raises(ValueError, match=rf"^data\.{key}.*some\.jsonl:1: sample 's0' is about nothing"):
        train.main(["fit", "--config", str(config), "--data.videos", str(tmp_path), *files])
