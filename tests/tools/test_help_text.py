"""The help of every command: each option has words of its own, its values and its default, and the lines fit."""

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from jsonargparse import ArgumentParser

import train
from tvg_lightning.__main__ import COMMANDS, OVERVIEW, TRAINING, console, main
from tvg_lightning.modules.grpo import GRPOModule
from tvg_lightning.modules.sft import SFTModule
from tvg_lightning.modules.staged import StagedModule
from tvg_lightning.tools.help_text import in_words

ROOT = Path(__file__).resolve().parents[2]
ALL = [
    [name, *inner]
    for name, of in COMMANDS.items()
    for inner in ([[], *([one] for one in of)] if isinstance(of, dict) else [[]])
]
OPTION = re.compile(r"^  (--[\w.]+)(?: .*?)?(?:  +(.*))?$")
MODULES = (GRPOModule, SFTModule, StagedModule)
REACHED = {  # some of every depth, so that a walk that reaches less is seen
    "--tuning",
    "--anchor_trace.folder",
    "--data.frames.max_tokens",
    "--data.difficulty.max_iou",
    "--data.val.limit",
    "--model.policy.thinking",
    "--model.grpo.generation.top_p",
    "--model.grpo.oracle.cap",
    "--model.reward.extra.function",
    "--model.vllm.url",
    "--model.evaluation.preset",
    "--model.optimizer.merger.lr",
    "--model.stages.harvest_rule.min_anchors",
    "--model.stages.plateau.window",
}
OF_GROUP = "with the keys of this group"  # a file for all of them
OWN = ("holds options of this command", "as YAML, and end")  # of --config and --print_config
NO_NOUNS = {"what", "which", "whether", "whose", "who", "why", "of", "as"}
TAIL = re.compile(r"\s*\([^()]*\)$")  # type and default
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


def faults_of(words: str) -> str:
    """The first thing that is wrong with the words of an option; empty where nothing is."""
    plain = TAIL.sub("", words).split()
    if len(plain) < 2:
        return "has no words of its own"
    if plain[0] in NO_NOUNS:
        return "begins with no noun or verb"
    if "default: " not in words and not words.endswith(("must be given)", OF_GROUP, *OWN)):
        return "does not say what holds where it is not given"
    return ""


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
        assert not (said := faults_of(words)), f"{name} {said}: {words!r}"
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
        ("share (default:\nall). (type: float | null, default: null)", "share (default: all; number)"),
        ("size (default: all). (type: int | null, default: 64)", "size (whole number; default: 64)"),
        ("tasks. (type: Sequence[Literal['a', 'b']], default: ('a',))", "tasks (list of one of a, b; default: [a])"),
        ("betas. (type: tuple[float, float], default: (0.9, 0.99))", "betas ([number, number]; default: [0.9, 0.99])"),
        ("ends. (type: tuple[str, ...], default: ())", "ends (list of text; default: none)"),
        ("at. (type: Optional[int], default: null)", "at (whole number)"),
        ("it. (type: Union[Literal['a', 'b'], Engine], default: a)", "it (one of a, b or Engine; default: a)"),
        ("it. (type: K, default: {'a': 'b', 'c': None})", "it (K; default: {a: b, c: null})"),
        (
            "by. (type: Union[str, K], default: auto, known subclasses: x.K)",
            "by (text or K; default: auto; classes: x.K)",
        ),
        ("no tail (at all)", "no tail (at all)"),
    ],
)
def test_types_in_words(given: str, said: str) -> None:
    assert in_words(given) == said


@pytest.fixture
def parser(monkeypatch: pytest.MonkeyPatch) -> ArgumentParser:
    """The parser of train.py, before it reads the command line: it takes a second to build."""
    built: list[ArgumentParser] = []

    def kept(self: train.TrainCLI, parser: ArgumentParser, args: Any) -> None:
        built.append(parser)
        raise SystemExit

    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(train.TrainCLI, "parse_arguments", kept)
    with pytest.raises(SystemExit):
        train.main([])
    return built[0]


def every_help_of_ours(parser: ArgumentParser, capsys: pytest.CaptureFixture[str]) -> Iterator[tuple[str, str]]:
    """All helps that a user can reach from ``fit --help``, and the way there; that of each class once."""
    asked = [["--help"], *(["--model.help", f"{kind.__module__}.{kind.__name__}"] for kind in MODULES)]
    seen: set[str] = set()
    while asked:
        line = asked.pop(0)
        with pytest.raises(SystemExit) as ended:
            parser.parse_args(["fit", *line])
        assert ended.value.code == 0
        text = capsys.readouterr().out
        yield " ".join(line), text
        for option, kind in re.findall(r"^  (--\S+\.help)\s+Show the help for (\w+) and exit", text, re.MULTILINE):
            if kind not in seen:
                asked.append([*([] if line == ["--help"] else line), option])
                seen.add(kind)


def test_every_key_of_ours_has_words_in_the_help_of_train_py(
    parser: ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = (
        "--tuning",
        "--ckpt_path",
        "--weights_only",
        "--data.",
        "--model.",
        *(f"--{key}." for key in train.STANDING_CALLBACKS),
    )
    seen: set[str] = set()
    faults: list[str] = []
    for line, text in every_help_of_ours(parser, capsys):
        assert len(text.partition("\n\n")[0].splitlines()) < 4, "the usage is short"
        faults += [f"{line}: {found}" for found in FOUND.findall(text)]
        found = {name: words for name, words in options(text).items() if name.startswith(ours)}
        seen |= found.keys()
        for name, words in found.items():
            if not name.endswith(".help") and (said := faults_of(words)):
                faults.append(f"{line}: {name} {said}: {words!r}")
    assert not faults, "\n".join(faults)
    assert seen >= REACHED


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
