"""``python -m tvg_lightning COMMAND``: everything around training that is not training."""

import inspect
import sys
from collections.abc import Mapping
from importlib import import_module
from itertools import takewhile
from json import dumps
from typing import Any, NoReturn, get_origin

from jsonargparse import Namespace, auto_cli

from tvg_lightning.notices import quiet, show_our_logs
from tvg_lightning.old_keys import refuse_pixel_options, refuse_pixels
from tvg_lightning.tools.help_text import CommandParser

# module and function of every command; imported when it is asked for, because some need torch and most do not
COMMANDS: dict[str, str | dict[str, str]] = {
    "render": "render.main",
    "probe": "probe.main",
    "data": {"inspect": "data.inspect", "convert": "data.convert", "videos": "data.videos"},
    "verbs": "verbs.main",
    "annotate": "annotate.main",
    "filter": {
        "tvg_r1": "filter.tvg_r1",
        "time_r1": "filter.time_r1",
        "timelens": "filter.timelens",
        "timelens2": "filter.timelens2",
    },
    "harvest": "harvest.main",
    "targets": "targets.main",
    "parse": "parse.main",
    "score": "score.main",
    "compare": "compare.main",
    "diagnose": "diagnose.main",
    "traces": "traces.main",
    "report": "report.main",
    "ground": "ground.main",
    "export": "export.main",
    "serve": "serve.main",
    "plan": "plan.main",
    "pretrain-tiny": "pretrain_tiny.main",
}
PLAIN = {"score": "predictions"}  # the option of a value that belongs to none, where the first parameter is no list
TRAINING = ("fit", "validate", "test", "predict")
OVERVIEW = f"""tvg {"|".join(TRAINING)} --config FILE: train.py's commands, see tvg fit --help and the README.
All others:

"""
_TRUTHS = ("true", "false")  # what may follow a flag without being a file


class _Parser(CommandParser):
    """A parser that says of keys that were given up what to write."""

    def validate(self, namespace: Namespace, *args: Any, **kwargs: Any) -> None:
        refuse_pixels(namespace.items())
        super().validate(namespace, *args, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        refuse_pixel_options(message)
        super().error(message, ex)


def main(args: list[str] | None = None, prog: str = "python -m tvg_lightning") -> None:
    """Run one command; what a user can fix is said in one line."""
    show_our_logs()
    given = sys.argv[1:] if args is None else args
    commands = {name: _loaded(COMMANDS[name]) for name in ([given[0]] if given and given[0] in COMMANDS else COMMANDS)}
    try:
        auto_cli(
            commands,
            args=as_the_parser_wants(given, commands),
            as_positional=False,
            prog=prog,
            parser_class=_Parser,
        )
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def _loaded(command: str | dict[str, str]) -> Any:
    """The function of a command, or those of its own commands with the words about their module."""
    if isinstance(command, str):
        module, function = command.split(".")
        return vars(import_module(f"tvg_lightning.tools.{module}"))[function]
    module = next(iter(command.values())).split(".")[0]
    words = import_module(f"tvg_lightning.tools.{module}").__doc__
    return {"_help": _plain(words or ""), **{name: _loaded(inner) for name, inner in command.items()}}


def _plain(words: str) -> str:
    """The words of a module about itself, without the command line that its first line names."""
    told = words.partition("``: ")[2] or words
    return f"{told[0].upper()}{told[1:]}".replace("``", "")


def as_the_parser_wants(args: list[str], commands: dict[str, Any]) -> list[str]:
    """A command line as people write it, in the form that the parser of signatures reads.

    ``--json`` alone is ``--json=true``; ``--traces a b``, ``--traces=a`` (a file that the parser would open) and, for a
    first parameter that is a list, values that belong to no option (``probe a b``, ``probe --json a``) become one JSON
    list. Single parameters that must be given may stand before that list: ``ground VIDEO QUERY QUERY``. ``score a`` is
    ``score --predictions=a``.
    """
    command: Any = commands
    names: list[str] = []
    while isinstance(command, dict) and len(names) < len(args) and args[len(names)] in command:
        names.append(args[len(names)])
        command = command[names[-1]]
    if not inspect.isfunction(command):
        return args
    parameters = inspect.signature(command).parameters
    lists = [f"--{name}" for name, p in parameters.items() if get_origin(p.annotation) is list]
    flags = [f"--{name}" for name, p in parameters.items() if p.annotation is bool]
    single, first = _leading(parameters)
    alone = PLAIN.get(names[0])
    if alone in parameters:
        first = f"--{alone}"
    given = args[len(names) :]
    plain: list[str] = []
    listed: list[str] = []  # behind the name of the list
    rest: list[str] = []
    while given:
        option = given.pop(0)
        name, _, value = option.partition("=")
        values = list(takewhile(lambda value: not value.startswith("-"), given))
        if first is not None and not option.startswith("-"):
            plain.append(option)
        elif option == first and values and not values[0].startswith("["):
            listed += values
            given = given[len(values) :]
        elif name in lists and value and not value.startswith("["):
            rest.append(f"{name}={dumps([value])}")
        elif option in lists and values and not values[0].startswith("["):
            rest.append(f"{option}={dumps(values)}")
            given = given[len(values) :]
        elif option in flags and (not values or (first is not None and values[0].lower() not in _TRUTHS)):
            rest.append(f"{option}=true")
        else:  # its value, if it stands apart, goes with it
            rest += [option, *([given.pop(0)] if values and "=" not in option else [])]
    if alone in parameters and (plain := [*listed, *plain]):
        if len(plain) > 1 or any(option.startswith(f"{first}=") for option in rest):
            raise ValueError(f"{names[0]} takes one file of {alone}: give it once, and nothing beside ({plain[-1]})")
        return [*names, f"{first}={plain[0]}", *rest]
    single = [name for name in single if not any(option.partition("=")[0] == name for option in rest)]
    named = [f"{name}={value}" for name, value in zip(single, plain, strict=False)]
    listed += plain[len(single) :]
    return [*names, *named, *([f"{first}={dumps(listed)}"] if listed else []), *rest]


def _leading(parameters: Mapping[str, inspect.Parameter]) -> tuple[list[str], str | None]:
    """The options that a command's plain values are for: single ones that must be given, and the list behind them."""
    single: list[str] = []
    for name, parameter in parameters.items():
        if get_origin(parameter.annotation) is list:
            return single, f"--{name}"
        if parameter.default is not parameter.empty:
            break
        single.append(f"--{name}")
    return [], None


def console() -> None:
    """``tvg``: ``fit``, ``validate``, ``test`` and ``predict`` are train.py's, all others are the commands here."""
    if sys.argv[1:2] and sys.argv[1] in TRAINING:
        training = vars(import_module("train"))
        if "TrainCLI" not in training:
            sys.exit(f"error: {training.get('__file__')} is another train.py: start tvg from another folder")
        training["script"]()
        return
    quiet()
    if sys.argv[1:] in ([], ["--help"], ["-h"]):
        sys.stdout.write(OVERVIEW)
    main(prog="tvg")


if __name__ == "__main__":
    quiet()
    main()
