"""The help of every command: each option has words of its own, its values and its default, and the lines fit."""

import inspect
import re
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import train
from tvg_lightning.__main__ import COMMANDS, OVERVIEW, TRAINING, console, main
from tvg_lightning.tools.help_text import in_words

ROOT = Path(__file__).resolve().parents[2]
ALL = [
    [name, *inner]
    for name, of in COMMANDS.items()
    for inner in ([[], *([one] for one in of)] if isinstance(of, dict) else [[]])
]
OPTION = re.compile(r"^  (--[\w.]+)(?: .*?)?(?:  +(.*))?$")
FOUND = re.compile(r"class '|Literal\[|Optional\[|LIST_OF|``|\bnull\)|\| null")


def options(text: str) -> dict[str, str]:
    """The words of every option, on one line."""
    found: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        match = OPTION.match(line)
        if match is not None:
            last = match[1]
            found[last] = (match[2] or "").strip()
        elif line.startswith(" " * 20) and last:
            found[last] = f"{found[last]} {line.strip()}".strip()
        else:
            last = ""
    return found


def nullable(command: list[str]) -> list[str]:
    """The options of a command that are null where they are not given."""
    of: Any = COMMANDS
    for name in command:
        of = of[name]
    if not isinstance(of, str):
        return []
    module, function = of.split(".")
    parameters = inspect.signature(vars(import_module(f"tvg_lightning.tools.{module}"))[function]).parameters
    return [name for name, parameter in parameters.items() if parameter.default is None]


@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_the_help_of_every_command_reads_well(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m tvg_lightning {' '.join(command)} [options]")
    assert not FOUND.search(text), FOUND.findall(text)
    found = options(text)
    assert found
    for name, words in found.items():
        plain = words.partition(" (")[0]
        assert len(plain) > 3 and " " in plain, f"{name} has no words of its own: {words!r}"
    for name in nullable(command):
        assert "default: " in found[f"--{name}"], f"--{name} does not say what happens without it"
    usage, _, _ = text.partition("\n\n")
    needed = {name for name, words in found.items() if words.endswith("must be given)")}
    assert needed == set(re.findall(r"--[\w.]+", usage))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("files. (required, type: list[Path])", "files (files or folders; must be given)"),
        ("which (default: as it is). (type: bool | null, default: null)", "which (default: as it is; true or false)"),
        ("(type: Optional[Literal['auto', 'low']], default: null)", "(one of auto, low)"),
        ("more. (type: dict[str, Any], default: {})", "more (JSON object; default: {})"),
        ("no tail (at all)", "no tail (at all)"),
    ],
)
def test_types_in_words(given: str, said: str) -> None:
    assert in_words(given) == said


def test_the_help_of_train_py_says_what_our_own_keys_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        train.main(["fit", "--help"])
    ours = ("--data.", *(f"--{key}." for key in train.STANDING_CALLBACKS))
    found = {name: words for name, words in options(capsys.readouterr().out).items() if name.startswith(ours)}
    assert {"--data.frames.max_tokens", "--data.mixture.tvg", "--anchor_trace.folder"} <= found.keys()
    for name, words in found.items():
        plain, _, kind = words.partition("(type: ")
        assert name.endswith(".help") or len(plain.split()) > 2 or "required" in words, f"{name} has no words: {words}"
        if kind.endswith("default: null)"):
            assert "(default: " in plain, f"{name} does not say what null means"


def test_the_console_script_is_what_pyproject_says() -> None:
    given = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    module, _, function = given["project"]["scripts"]["tvg"].partition(":")
    assert vars(import_module(module))[function] is console
    assert given["tool"]["setuptools"]["py-modules"] == ["train"]  # what it hands fit to, installed beside the packages


def test_tvg_hands_its_commands_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("tvg_lightning.__main__.quiet", lambda: None)
    asked: list[list[str]] = []
    monkeypatch.setattr(train, "script", lambda: asked.append(sys.argv[1:]))
    for name in TRAINING:
        monkeypatch.setattr(sys, "argv", ["tvg", name, "--config", "a.yaml"])
        console()
    assert asked == [[name, "--config", "a.yaml"] for name in TRAINING]
    monkeypatch.setattr(sys, "argv", ["tvg", "parse", "--help"])
    with pytest.raises(SystemExit):
        console()
    assert capsys.readouterr().out.startswith("usage: tvg parse [options]")
    monkeypatch.setattr(sys, "argv", ["tvg", "--help"])
    with pytest.raises(SystemExit):
        console()
    said = capsys.readouterr().out
    assert said.startswith(OVERVIEW) and "usage: tvg [options] COMMAND" in said and "traces" in said


def test_another_train_py_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tvg_lightning.__main__.import_module", lambda name: sys)
    monkeypatch.setattr(sys, "argv", ["tvg", "fit"])
    with pytest.raises(SystemExit, match=r"is another train\.py"):
        console()
