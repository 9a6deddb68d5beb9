"""Extension of griffe: docstrings and comments of this project, as the Markdown that API pages are made of.

Code is read and never imported. Three habits of the code would not survive Markdown as they are: doctests stand among
the prose, settings are explained by lines such as ``num_rows: how many``, and fields by a comment at the line's end.
"""

import ast
import re
from typing import Any

from griffe import Attribute, Class, Docstring, Extension, Function, Module, Object

DOCTEST = re.compile(r"(?:^>>> .*\n?(?:^(?!>>> )[^\n]+\n?)*)+", re.MULTILINE)
EXPLAINED = re.compile(r"^((?:[a-z]\w*)(?:, [a-z]\w*)*):(?= )")
TRAILING = re.compile(r"\s#\s(?!noqa|type:|fmt:)(.+)$")
# Angle brackets outside of code would be read as HTML: <think>, <answer>.
TAG = re.compile(r"(`+[^`]+`+)|<(?=[/a-zA-Z|])")


class Docstrings(Extension):
    """Called by griffe for every object that it has read."""

    def on_module_instance(self, *, mod: Module, **kwargs: Any) -> None:
        _rewrite(mod, set())

    def on_class_members(self, *, cls: Class, **kwargs: Any) -> None:
        _rewrite(cls, {name for name, member in cls.members.items() if member.is_attribute})

    def on_function_instance(self, *, func: Function, **kwargs: Any) -> None:
        _rewrite(func, {parameter.name.lstrip("*") for parameter in func.parameters})

    def on_attribute_instance(self, *, node: ast.AST | Any, attr: Attribute, **kwargs: Any) -> None:
        """The comment behind a field is its docstring; a property has one of its own."""
        _rewrite(attr, set())
        if attr.docstring is None and attr.lineno is not None and (line := attr.lines[-1:] or [""]):
            found = TRAILING.search(line[0])
            if found is not None:
                attr.docstring = Docstring(_as_text(found[1]), lineno=attr.lineno, parent=attr)


def _rewrite(described: Object, names: set[str]) -> None:
    if described.docstring is not None:
        described.docstring.value = as_markdown(described.docstring.value, names)


def as_markdown(text: str, names: set[str]) -> str:
    """A docstring with its doctests as blocks of code, and the lines about ``names`` as a list.

    >>> as_markdown("Settings of <think>.\\n\\nfps: frames\\na second", {"fps"})
    'Settings of &lt;think>.\\n\\n\\n- `fps`: frames\\n  a second'
    >>> as_markdown("A sum.\\n\\n>>> 1 + 1\\n2", set())
    'A sum.\\n\\n\\n```pycon\\n>>> 1 + 1\\n2\\n```\\n'
    """
    parts: list[str] = []
    end = 0
    for found in DOCTEST.finditer(text):
        parts += [_as_list(_as_text(text[end : found.start()]), names), f"\n```pycon\n{found[0].strip()}\n```\n"]
        end = found.end()
    return "".join([*parts, _as_list(_as_text(text[end:]), names)])


def _as_text(text: str) -> str:
    return TAG.sub(lambda found: found[1] or "&lt;", text)


def _as_list(text: str, names: set[str]) -> str:
    """Lines that begin with names of fields or parameters become items; what follows a line belongs to it."""
    lines: list[str] = []
    in_list = False
    for line in text.split("\n"):
        found = EXPLAINED.match(line)
        if found is not None and names and set(found[1].split(", ")) <= names:
            told = ", ".join(f"`{name}`" for name in found[1].split(", "))
            lines += [*([] if in_list else [""]), f"- {told}:{line[found.end() :]}"]
            in_list = True
        else:
            if in_list and not line.strip():
                in_list = False
            lines.append(f"  {line}" if in_list else line)
    return "\n".join(lines)
