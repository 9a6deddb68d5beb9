"""The look of ``--help``: what must be given in the usage, values in plain words, the parser's own options behind."""

import ast
import json
import re
from collections.abc import Iterable
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter

_MAX_VALUES_CHARS = 40  # of a list of values beside an option; longer ones stand in its words
_TYPES = (
    (re.compile(r"list\[Path\] \| Path|list\[Path\]"), "files or folders"),
    (re.compile(r"<class 'Path'>|\bPath\b"), "path"),
    (re.compile(r"Optional\[((?:[^\[\]]|\[[^\[\]]*\])*)\]"), r"\1"),
    (re.compile(r" \| null|, null(?=\])"), ""),
    (re.compile(r"\bbool\b"), "true or false"),
    (re.compile(r"\bint\b"), "whole number"),
    (re.compile(r"\bfloat\b"), "number"),
    (re.compile(r"\bstr\b"), "text"),
    (re.compile(r"\bdict\[.*?\]"), "JSON object"),
    (re.compile(r"\b(?:list|Sequence|tuple)\[([^\[\],]+|Literal\[[^\]]*\])(?:, \.\.\.)?\]"), r"list of \1"),
    (re.compile(r"\btuple(\[[^\[\]]+\])"), r"\1"),
)
_UNION = re.compile(r"Union\[((?:[^\[\]]|\[[^\[\]]*\])*)\]")
_COMMA = re.compile(r", (?![^\[]*\])")  # between types, not within one
_DEFAULT = re.compile(r" \(default: [^()]*\)$")
_LITERAL = re.compile(r"Literal\[([^\]]*)\]")
_TAIL = re.compile(r" ?\(((?:required, )?type: .*)\)$", re.DOTALL)
_OWN = {
    "ckpt_path": "checkpoint whose weights are taken, and from which fit goes on: a file, a URL, or last for the run's "
    "last.ckpt (default: none)",
    "weights_only": "read checkpoints as data, so that no code in them is run (true or false; default: true)",
    "config": "a YAML file that holds options of this command",
    "print_config": "print all options as YAML, and end",
}
_OWN_OF_GROUP = "a YAML file with the keys of this group"


class HelpFormatter(DefaultHelpFormatter):
    """jsonargparse's formatter with shorter usage and types in words."""

    def add_usage(self, usage: str | None, actions: Iterable[Any], *args: Any, **kwargs: Any) -> None:
        """Only what must be given stands in the usage; the rest is ``[options]``."""
        needed = [action for action in actions if action.required or not action.option_strings]
        parts = [
            f"{action.option_strings[0]} {self._values(action)}" if action.option_strings else "COMMAND ..."
            for action in needed
        ]
        prog = " ".join(self._prog.replace("[options]", "").split())
        super().add_usage(" ".join([prog, "[options]", *parts]).replace("%", "%%"), actions, *args, **kwargs)

    def _format_action_invocation(self, action: Any) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        names = [name for name in action.option_strings if not name.endswith("+")]
        return f"{', '.join(names)} {self._values(action)}"

    def _values(self, action: Any) -> str:
        choices = f"{{{','.join(map(str, action.choices))}}}" if action.choices else None
        metavar = action.metavar or choices or action.dest.rsplit(".")[-1].upper()
        if "LIST_OF_" in str(metavar):
            return "PATH [PATH ...]"
        if metavar == "{true,false}" or metavar == "{true,false,null}":
            return "true|false"
        is_long = len(str(metavar)) > _MAX_VALUES_CHARS
        return "NAME" if is_long else str(metavar)

    def _expand_help(self, action: Any) -> str:
        if not action.option_strings:
            return action.help if action.help != "(required)" else ""
        if action.dest.rsplit(".")[-1] in _OWN:
            return _OWN[action.dest.rsplit(".")[-1]]
        told = super()._expand_help(action).replace("Path to a configuration file.", _OWN_OF_GROUP)
        return in_words(told).replace("``", "")

    def start_section(self, heading: str | None) -> None:
        """A heading that is a sentence, without the marks of code."""
        told = (heading or "").replace("``", "")
        super().start_section(f"{told[0].upper()}{told[1:]}" if " " in told else heading)


def in_words(text: str) -> str:
    """The type and default at the end of an option's help, in plain words.

    >>> in_words("file to read. (required, type: <class 'Path'>)")
    'file to read (path; must be given)'
    >>> in_words("whose format. (type: Literal['a', 'b'], default: a)")
    'whose format (one of a, b; default: a)'
    >>> in_words("at most so many (default: all). (type: int | null, default: null)")
    'at most so many (default: all; whole number)'
    """
    match = _TAIL.search(text)
    if match is None:
        return text
    words, tail = " ".join(text[: match.start()].split()).removesuffix("."), match[1]
    kind, _, default = tail.removeprefix("required, ").removeprefix("type: ").partition("default: ")
    for pattern, plain in _TYPES:
        kind = pattern.sub(plain, kind)
    kind = _UNION.sub(lambda found: _COMMA.sub(" or ", found[1]), kind)
    kind = _LITERAL.sub(lambda found: f"one of {found[1].replace(chr(39), '')}", kind).strip(", ")
    default, _, classes = default.partition(", known subclasses: ")
    told = [kind] if kind else []
    if tail.startswith("required"):
        told.append("must be given")
    elif default not in ("", "null"):
        told.append(f"default: {_as_yaml(default)}")
    if classes:
        told.append(f"classes: {classes}")
    if not told:
        return words
    if default not in ("", "null"):
        words = _DEFAULT.sub("", words)  # another one holds here than in the class
    if words.endswith(")") and "(default: " in words:
        return f"{words[:-1]}; {'; '.join(told)})"
    return f"{words} ({'; '.join(told)})".strip()


def _as_yaml(default: str) -> str:
    """A default as it is written in a YAML file.

    >>> _as_yaml("('tvg',)"), _as_yaml("{'cap': 3.0, 'floor': None}"), _as_yaml("True"), _as_yaml("()")
    ('[tvg]', '{cap: 3.0, floor: null}', 'true', 'none')
    """
    if default in ("()", "[]"):
        return "none"
    if default[0] in "([{" and default != "{}":
        return json.dumps(ast.literal_eval(default)).replace('"', "")
    return default.replace("True", "true").replace("False", "false")


class CommandParser(ArgumentParser):
    """A parser of commands whose help is written so."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", HelpFormatter)
        super().__init__(*args, **kwargs)
