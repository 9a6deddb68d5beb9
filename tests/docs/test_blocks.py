"""Every block of code of a page is what it claims: commands parse, configs are accepted, Python runs."""

import importlib.util
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonargparse import auto_cli, capture_parser

import train
import tvg_lightning.__main__ as commands
from tests.docs.pages import PAGES, ROOT, Block, blocks, prose

pytestmark = pytest.mark.slow  # every command, config and script of the pages

BLOCKS = [block for page in PAGES for block in blocks(page)]
# Words of the pages that stand for something of the reader's, with one thing that they may stand for.
PLACEHOLDERS = {
    "configs/RECIPE": "configs/time_r1/recipe.yaml",
    "configs/METHOD/NAME.yaml": "configs/time_r1/recipe.yaml",
    "configs/METHOD/tiny/NAME.yaml": "configs/time_r1/tiny/recipe.yaml",
    "RECIPE": "configs/time_r1/recipe.yaml",
    "METHOD": "time_r1",
    "COMMAND": "score",
    "PRICE": "1.0",
}
SHELL = {"export", "pip"}  # programs that are not ours, of which no option is checked
STARTERS = {"torchrun", "srun"}  # what stands before train.py, up to its name
NOTEBOOK = "docs/notebook.md"  # runs in tests/test_docs.py


def of(*languages: str) -> Any:
    found = [block for block in BLOCKS if block.language in languages]
    assert found
    return pytest.mark.parametrize("block", found, ids=str)


def inline_commands() -> Iterator[tuple[str, str]]:
    """Commands with options within the text of a page."""
    for page in PAGES:
        for code in re.findall(
            r"`((?:\.venv/bin/)?python (?:train\.py|-m tvg_lightning) [^`\n]* --?[^`]*)`", prose(page)
        ):
            yield page.name, " ".join(code.split())


def lines_of(block: Block) -> list[str]:
    """One command each; lines that begin with options go on with the command before, of this block or the last."""
    text = block.text.replace("\\\n", " ").strip()
    if text.startswith("--"):
        before = [b for b in BLOCKS if b.page == block.page and b.line < block.line and b.language == "bash"]
        text = f"{lines_of(before[-1])[-1]} {text}"
    return [line for line in text.split("\n") if line.strip()]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A folder like the repository's, with the files that a page tells its reader to write."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str) -> None:
        for block in BLOCKS:
            if block.page == name and block.file is not None and block.language in ("python", "yaml"):
                Path(block.file).write_text(block.text, encoding="utf-8")
                monkeypatch.delitem(sys.modules, block.file.removesuffix(".py"), raising=False)

    return write


def parse(line: str) -> None:
    """A command line by the program's own parser, without running it; AssertionError where it is refused."""
    words = [word for word in shlex.split(line, comments=True) if word not in ("…", "...")]
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words.pop(0)
    for number, word in enumerate(words):
        words[number] = PLACEHOLDERS.get(word, word)
    program = words[0].removeprefix(".venv/bin/")
    if program in STARTERS:
        words = words[words.index("train.py") - 1 :]
        program = "python"
    if program == "make":
        parse_make(words[1:])
    elif program == "python" and words[1] == "train.py":
        parse_train(words[2:])
    elif program == "python" and words[1:3] == ["-m", "tvg_lightning"]:
        parse_tool(words[3:])
    elif program == "python":
        parse_module(words[1:])
    else:
        assert program in SHELL or program == "tensorboard", f"{line}: what is {program}?"


def parse_make(targets: list[str]) -> None:
    written = re.findall(r"^([a-z][a-z -]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    known = {name for names in written for name in names.split()}
    assert set(targets) <= known, f"no such target: {set(targets) - known}"


def parse_train(args: list[str]) -> None:
    args = [word for number, word in enumerate(args) if not (word == "--config" and is_cut(args, number))]
    shows_help = any(word.endswith("help") for word in args)
    with pytest.raises(SystemExit) as ended:
        train.main(args if shows_help else [*args, "--print_config"])
    assert ended.value.code in (0, None), f"train.py {' '.join(args)}: {ended.value.code}"


def is_cut(args: list[str], number: int) -> bool:
    """True where the file of a ``--config`` was left to the reader."""
    return number + 1 == len(args) or args[number + 1].startswith("--")


def parse_tool(args: list[str]) -> None:
    def parse_only(components: Any, args: list[str], **settings: Any) -> None:
        parser = capture_parser(auto_cli, components, args=args, **settings)
        parser.parse_args(args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "auto_cli", parse_only)
        try:
            commands.main(args)
        except SystemExit as ended:
            assert ended.code in (0, None), f"{' '.join(args)}: {ended.code}"


def parse_module(args: list[str]) -> None:
    """A script of benchmarks/ or docs/, or of a library: it exists, and its source knows the options."""
    assert args[0] == "-m", args
    spec = importlib.util.find_spec(args[1])
    assert spec is not None and spec.origin is not None, f"no module {args[1]}"
    if args[1].startswith("lightning"):
        return
    folder = Path(spec.origin).parent
    sources = list(folder.glob("*.py")) if Path(spec.origin).name == "__init__.py" else [Path(spec.origin)]
    text = "".join(source.read_text(encoding="utf-8") for source in sources)
    for word in args[2:]:
        if word.startswith("--"):
            assert re.search(rf'"{word}"|\b{word.removeprefix("--")}\b', text), f"{args[1]} does not know {word}"


@of("bash")
def test_commands_parse(block: Block, page: Any) -> None:
    page(block.page)
    for line in lines_of(block):
        parse(line)


@pytest.mark.parametrize(("name", "line"), sorted(set(inline_commands())))
def test_commands_in_the_text_parse(name: str, line: str, page: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """They may leave out what a command requires, and nothing else."""
    page(name)
    try:
        parse(line)
    except AssertionError:
        assert "the following arguments are required" in capsys.readouterr().err, line


@of("json")
def test_json_parses(block: Block) -> None:
    for line in block.text.splitlines():
        json.loads(line)


@of("yaml")
def test_configs_are_accepted(block: Block, page: Any) -> None:
    """Over a recipe; what is no whole config stands under ``model.init_args``."""
    page(block.page)
    config = yaml.safe_load(block.text)
    if not config.keys() <= {"data", "model", "trainer"}:
        config = {"model": {"init_args": config}}
    Path("block.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    parse_train(["fit", "--config", "configs/time_r1/recipe.yaml", "--config", "block.yaml"])


@of("python")
def test_python_runs(block: Block) -> None:
    code = compile(block.text, str(block), "exec")
    if block.page != NOTEBOOK:
        exec(code, {"__name__": "page"})  # our own document


def test_the_check_of_commands_sees_faults(page: Any) -> None:
    """One fault of each kind."""
    page("README.md")
    for line in (
        "make quickstrat",
        "python train.py fit --config configs/time_r1/recipe.yaml --data.vidoes x",
        "python -m tvg_lightning score --predictoins x",
        "python -m tvg_lightning grnd x.mp4 y",
        "python -m benchmarks.quickstarts",
        "python -m benchmarks.kills --stpes 8",
        "frobnicate",
    ):
        with pytest.raises((AssertionError, SystemExit)):
            parse(line)
