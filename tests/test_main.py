"""Command lines as people write them, and commands that are loaded when they are asked for."""

import sys
from pathlib import Path

import pytest

from tvg_lightning.__main__ import COMMANDS, as_the_parser_wants, main


def scored(annotations: Path, strict: bool = False, json: bool = False) -> None:
    """A command with flags."""


def gathered(paths: list[Path], more: list[Path], json: bool = False, num: int = 1) -> None:
    """A command with lists."""


def of_a_file(annotations: Path, predictions: Path, json: bool = False) -> None:
    """A command that takes one file without an option."""


TREE = {"score": scored, "gather": gathered, "data": {"score": scored}}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("score --json --strict", "score --json=true --strict=true"),
        ("score --json --strict false --benchmark --json", "score --json=true --strict false --benchmark --json=true"),
        ("data score --json", "data score --json=true"),
        ("score --json true", "score --json true"),
        ('gather a b --json', 'gather --paths=["a", "b"] --json=true'),
        ('gather --json a b', 'gather --paths=["a", "b"] --json=true'),
        ('gather --json False a', 'gather --paths=["a"] --json False'),
        ('gather a --json b --num 3 c --num=4 d', 'gather --paths=["a", "b", "c", "d"] --json=true --num 3 --num=4'),
        ('gather --json --paths a b --json', 'gather --paths=["a", "b"] --json=true --json=true'),
        ('gather --more x --paths a b', 'gather --paths=["a", "b"] --more=["x"]'),
        ("score --json a", "score --json a"),
        ("gather --paths=a --more=b=c", 'gather --paths=["a"] --more=["b=c"]'),
        ('gather --paths ["a"] --more=["b"]', 'gather --paths ["a"] --more=["b"]'),
        ("", ""),
        ("--help", "--help"),
        ("data", "data"),
        ("data other --json", "data other --json"),
        ("nothing --json", "nothing --json"),
    ],
)  # fmt: skip
def test_command_lines(line: str, expected: str) -> None:
    assert " ".join(as_the_parser_wants(line.split(), TREE)) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("score a.jsonl --annotations b", "score --predictions=a.jsonl --annotations b"),
        ("score --annotations b a.jsonl --json", "score --predictions=a.jsonl --annotations b --json=true"),
        ("score --json a.jsonl", "score --predictions=a.jsonl --json=true"),
        ("score --predictions a.jsonl", "score --predictions=a.jsonl"),
        ("score --predictions=a.jsonl --json true", "score --predictions=a.jsonl --json true"),
    ],
)
def test_score_takes_its_file_with_and_without_the_option(line: str, expected: str) -> None:
    assert " ".join(as_the_parser_wants(line.split(), {"score": of_a_file})) == expected


@pytest.mark.parametrize("line", ["score a.jsonl b.jsonl", "score --predictions=a.jsonl b.jsonl"])
def test_score_takes_one_file(line: str) -> None:
    with pytest.raises(ValueError, match=r"score takes one file of predictions: give it once.*b\.jsonl"):
        as_the_parser_wants(line.split(), {"score": of_a_file})


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) > 5


def test_what_a_user_can_fix_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: .*absent\.jsonl: no such file$"):
        main(["data", "inspect", "--benchmark", "jsonl", "--annotations", str(tmp_path / "absent.jsonl")])


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied", "a.jsonl"), IsADirectoryError("a folder")])
def test_what_the_system_refuses_is_one_line(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(paths: list[Path], json: bool = False) -> None:
        """As a tool that may not read a file."""
        raise error

    monkeypatch.setattr("tvg_lightning.tools.probe.main", refused)
    with pytest.raises(SystemExit, match=r"^error: .*a(\.jsonl| folder)"):
        main(["probe", "a"])


def test_a_reader_of_videos_that_does_not_start_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('no torch today')")
    (tmp_path / "a.mp4").write_bytes(b"x")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(SystemExit, match=r"^error: a process for reading videos could not be started"):
        main(["probe", str(tmp_path)])
    assert "no torch today" in capfd.readouterr().err
