"""What a user did wrong is one line of ``train.py`` as a command; what is ours keeps its traceback."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException

import train
from tests.builders import GOOD_TRACE, write_annotations, write_traces
from tests.runs import changed

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An SFT run whose data are made up; nothing of it can be read."""
    (tmp_path / "videos").mkdir()
    for name in "abd":
        (tmp_path / "videos" / f"{name}.mp4").touch()
    write_annotations(tmp_path / "train.jsonl", ["a", "b"])
    write_annotations(tmp_path / "blind.jsonl", ["d"], windows=None)
    write_traces(tmp_path / "targets.jsonl", [GOOD_TRACE])  # of a sample that is not there
    given: dict[str, Any] = {
        "trainer": {"accelerator": "cpu", "devices": 1, "default_root_dir": str(tmp_path), "logger": False},
        "model": {
            "class_path": "tvg_lightning.modules.sft.SFTModule",
            "init_args": {"policy": {"checkpoint": "tiny"}},
        },
        "data": {
            "videos": str(tmp_path / "videos"),
            "train": str(tmp_path / "train.jsonl"),
            "targets": str(tmp_path / "targets.jsonl"),
        },
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(given), encoding="utf-8")
    return path


def refused(*args: str | Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[Any, str]:
    """Status and last words of the command; those of Lightning before them are logged."""
    monkeypatch.setattr(sys, "argv", ["train.py", *map(str, args)])
    with pytest.raises(SystemExit) as ended:
        train.script()
    said = capsys.readouterr().err
    assert "Traceback" not in said and "usage:" not in said
    return (ended.value.code, said) if isinstance(ended.value.code, int) else (1, ended.value.code)  # as Python does


BROKEN = '{"id": "a", "video": "a.mp4", "query": "q", "windows": [[1, 2]], "duration": 9}\n{"id": '


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (["--data.train", "absent.jsonl"], 1, "data.train: absent.jsonl: no such file"),
        (["--data.batch_size", "0"], 1, "data.batch_size must be at least 1, not 0"),
        (["--data.frames.fps", "-1"], 1, "frames.fps must be a positive number, got -1.0"),
        (["--trainer.max_epochs", "-5"], 1, "`max_epochs` must be a non-negative integer or -1"),
        (["--data.nonsense", "3"], 2, "unrecognized arguments: --data.nonsense 3"),
        (["--data.batch_size", "x"], 2, 'Parser key "data.batch_size": '),
        (["--model.init_args.beta", "1"], 2, "Option 'beta' is not accepted"),
        (["--config", "absent.yaml"], 2, "absent.yaml"),
    ],
)
def test_a_mistake_is_one_line(
    args: list[str], status: int, words: str, config: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    code, said = refused("fit", "--config", config, *args, monkeypatch=monkeypatch, capsys=capsys)
    assert code == status and said.startswith("error: ") and words in said and said.count("\n") == (status == 2)


def test_what_a_parser_wraps_is_told_by_its_reason(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with changed(config) as given:
        given["model"] = {
            "class_path": "tvg_lightning.modules.staged.StagedModule",
            "init_args": {"policy": {"checkpoint": "tiny"}, "stages": []},
        }
    code, said = refused("fit", "--config", config, monkeypatch=monkeypatch, capsys=capsys)
    assert (code, said) == (1, "error: stages is empty: give at least one stage")


@pytest.mark.filterwarnings("ignore:Total length of `list`")  # no split to validate on
def test_a_mistake_in_a_file_names_file_and_line(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.jsonl").write_text(BROKEN)
    args = ("fit", "--config", config, "--data.train", tmp_path / "broken.jsonl")
    _, said = refused(*args, monkeypatch=monkeypatch, capsys=capsys)
    assert said.startswith(f"error: data.train: {tmp_path / 'broken.jsonl'}:2: not JSON") and "\n" not in said
    _, said = refused("fit", "--config", config, monkeypatch=monkeypatch, capsys=capsys)
    assert said == f'error: {tmp_path / "targets.jsonl"}: sample "s1" is not in {tmp_path / "train.jsonl"}'
    split = json.dumps([{"name": "v", "annotations": str(tmp_path / "blind.jsonl")}])
    _, said = refused("validate", "--config", config, "--data.val", split, monkeypatch=monkeypatch, capsys=capsys)
    assert "blind.jsonl holds no true window" in said


def test_a_config_in_another_encoding(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"data: {predict: caf\xe9.jsonl}\n")
    args = ("fit", "--config", config, "--config", tmp_path / "latin.yaml")
    _, said = refused(*args, monkeypatch=monkeypatch, capsys=capsys)
    assert said.startswith("error: a config is not UTF-8 text")


def test_from_python_it_is_raised(config: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.train: absent\.jsonl"):
        train.main(["fit", "--config", str(config), "--data.train", "absent.jsonl"])
    with pytest.raises(MisconfigurationException):
        train.main(["fit", "--config", str(config), "--trainer.max_epochs", "-5"])


@pytest.mark.parametrize(
    "fault", ["torch.zeros(2).reshape(3)", "torch.Generator('none')", "numpy.zeros(2).reshape(3)", "{}['key']"]
)
def test_faults_of_the_code_keep_their_traceback(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty() -> None:
        import numpy
        import torch

        eval(fault, {"torch": torch, "numpy": numpy})

    monkeypatch.setattr(train, "main", faulty)
    with pytest.raises((RuntimeError, KeyError, ValueError)):
        train.script()


def test_as_a_user_starts_it(config: Path) -> None:
    command = [sys.executable, str(ROOT / "train.py"), "fit", "--config", str(config), "--data.train", "absent.jsonl"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1 and done.stderr.splitlines()[-1] == "error: data.train: absent.jsonl: no such file"
    assert "Traceback" not in done.stderr
