"""``python -m tvg_lightning COMMAND``: everything around training that is not training."""

import inspect
import logging
import sys
from importlib import import_module
from typing import Any

from jsonargparse import auto_cli

# module and function of every command; imported when it is asked for, because some need torch and most do not
COMMANDS: dict[str, str | dict[str, str]] = {
    "render": "render.main",
    "probe": "probe.main",
    "data": {"inspect": "data.inspect", "convert": "data.convert"},
    "verbs": "verbs.main",
    "annotate": "annotate.main",
    "filter": {"tvg_r1": "filter.tvg_r1", "time_r1": "filter.time_r1"},
    "harvest": "harvest.main",
    "parse": "parse.main",
    "score": "score.main",
    "pretrain-tiny": "pretrain_tiny.main",
}


def main(args: list[str] | None = None) -> None:
    """Run one command; what a user can mend is said in one line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    given = sys.argv[1:] if args is None else args
    commands = {name: _loaded(COMMANDS[name]) for name in ([given[0]] if given and given[0] in COMMANDS else COMMANDS)}
    try:
        auto_cli(commands, args=with_flags_on(given, commands), as_positional=False, prog="python -m tvg_lightning")
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")


def _loaded(command: str | dict[str, str]) -> Any:
    """The function of a command, or those of its own commands with the words about their module."""
    if isinstance(command, str):
        module, function = command.split(".")
        return vars(import_module(f"tvg_lightning.tools.{module}"))[function]
    module = next(iter(command.values())).split(".")[0]
    words = import_module(f"tvg_lightning.tools.{module}").__doc__
    return {"_help": words, **{name: _loaded(inner) for name, inner in command.items()}}


def with_flags_on(args: list[str], commands: dict[str, Any]) -> list[str]:
    """``--json`` alone as ``--json=true``: the parser of the signatures wants a value of every bool."""
    command: Any = commands
    for name in args[:2]:  # data and filter have commands of their own
        command = command.get(name) if isinstance(command, dict) else command
    if not inspect.isfunction(command):
        return args
    flags = {f"--{name}" for name, p in inspect.signature(command).parameters.items() if p.annotation is bool}
    following = [*args[1:], "--"]
    return [
        f"{arg}=true" if arg in flags and after.startswith("-") else arg
        for arg, after in zip(args, following, strict=True)
    ]


if __name__ == "__main__":
    main()
