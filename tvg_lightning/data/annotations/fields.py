"""Reading files of annotations and the values in them: what is not as it should be is said with its key."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tvg_lightning.schema import Span


def read_text(file: Path) -> str:
    """The text of a file, without a byte order mark."""
    if not file.is_file():
        raise ValueError(f"{file}: no such annotation file")
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def read_json(file: Path) -> Any:
    """The one value that a JSON file holds."""
    try:
        return json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}:{error.lineno}: not JSON ({error.msg})") from error


def read_jsonl(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and object of every line that is not blank."""
    for line, content in enumerate(read_text(file).split("\n"), start=1):
        if not content.strip():
            continue
        try:
            value = json.loads(content)
        except json.JSONDecodeError as error:
            raise ValueError(f"{file}:{line}: not JSON ({error}); write one object a line") from error
        if not isinstance(value, dict):
            raise ValueError(f"{file}:{line}: not a JSON object; write one object a line")
        yield line, value


def text(given: Mapping[str, Any], key: str) -> str:
    """A text that says something."""
    value = given.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key} must be a text that is not empty, got {value!r}")
    return value


def number(given: Mapping[str, Any], key: str) -> float:
    """A number of seconds; NaN and infinity pass here and are refused with the window or duration they spoil."""
    if not is_number(given.get(key)):
        raise ValueError(f"{key} must be a number of seconds, got {given.get(key)!r}")
    return float(given[key])


def span(pair: Any, key: str) -> Span:
    """A span written as ``[start, end]``; in any order, for ``clean`` says what is reversed."""
    if not (isinstance(pair, list) and len(pair) == 2 and all(is_number(value) for value in pair)):
        raise ValueError(f"{key} must hold [start, end] in seconds, got {pair!r}")
    return Span(float(pair[0]), float(pair[1]))


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
