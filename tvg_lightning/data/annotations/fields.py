"""Reading files of annotations and the values in them: what is not as it should be is said with its key."""

import csv
import io
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tvg_lightning.data.annotations.records import Place
from tvg_lightning.schema import Span

VIDEO_SUFFIXES = (
    ".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".flv", ".wmv", ".3gp",
    ".ogv", ".gif", ".vob", ".asf",
)  # fmt: skip


@contextmanager
def at(file: Path, place: Place) -> Iterator[None]:
    """What is wrong inside is said with its file and place."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{file}:{place}: {error}") from error


def read_text(file: Path) -> str:
    """The text of a file, without a byte order mark."""
    if not file.is_file():
        raise ValueError(f"{file}: no such annotation file")
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def read_json(file: Path) -> Any:
    """The one value that a JSON file holds; ValueError for a key that stands twice, as json keeps only the last."""
    content = read_text(file)
    try:
        return _parsed(content)
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}:{error.lineno}: not one JSON value ({error.msg})") from error
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def read_jsonl(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and object of every line that is not blank."""
    for line, content in enumerate(read_text(file).split("\n"), start=1):
        if not content.strip():
            continue
        try:
            value = _parsed(content)
        except json.JSONDecodeError as error:
            raise ValueError(f"{file}:{line}: not JSON ({error}); write one object a line") from error
        except ValueError as error:
            raise ValueError(f"{file}:{line}: {error}") from error
        if not isinstance(value, dict):
            raise ValueError(f"{file}:{line}: not a JSON object; write one object a line")
        yield line, value


def read_items(file: Path, keys: Collection[str]) -> Iterator[tuple[Place, dict[str, Any]]]:
    """The objects of JSON lines (places 1, 2, …) or of a JSON list (``item 0``, …); each must have all of ``keys``."""
    if read_text(file).lstrip().startswith("["):
        items: Iterator[tuple[Place, Any]] = ((f"item {index}", item) for index, item in enumerate(read_json(file)))
    else:
        items = iter(read_jsonl(file))
    for place, item in items:
        with at(file, place):
            require(item, keys)
        yield place, item


def read_table(file: Path, columns: Collection[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and row of a csv file with a head that has all of ``columns``."""
    rows = csv.DictReader(io.StringIO(read_text(file), newline=""))
    try:
        if not set(columns) <= set(rows.fieldnames or ()):
            raise ValueError(f"{file}:1: the columns {' and '.join(columns)} are needed, found {rows.fieldnames}")
        for row in rows:
            missing = [column for column in columns if row[column] is None]
            if missing:
                raise ValueError(f"{file}:{rows.line_num}: {missing[0]}: the row ends before this column")
            yield rows.line_num, row
    except csv.Error as error:
        raise ValueError(f"{file}: not csv after line {rows.line_num} ({error})") from error


def first_keys(file: Path) -> frozenset[str]:
    """The keys of the first object in a file of JSON, a list or lines; () where there is none: to tell forms apart."""
    body = read_text(file).lstrip().removeprefix("[").lstrip()
    try:
        head, _ = json.JSONDecoder().raw_decode(body)
    except (ValueError, RecursionError):  # the reader of the form will say it
        return frozenset()
    return frozenset(head) if isinstance(head, dict) else frozenset()


def beside(annotations: Path, name: str) -> Path:
    """The published companion of a file; ValueError if it is not there."""
    path = annotations.with_name(name)
    if not path.is_file():
        raise ValueError(f"{annotations}: needs {name} beside it; put it there, or say where it is with companion")
    return path


def require(given: Any, keys: Collection[str]) -> None:
    """ValueError unless ``given`` is an object with all these keys."""
    if not isinstance(given, dict):
        raise ValueError(f"another form: an object with {', '.join(keys)} is needed here, got {str(given)[:60]!r}")
    missing = [key for key in keys if key not in given]
    if missing:
        found = ", ".join(list(given)[:6]) + (", …" if len(given) > 6 else "")
        raise ValueError(
            f"another form: {', '.join(missing)} missing, found {found or 'no keys'}; is it this data set's file?"
        )


def text(given: Mapping[str, Any], key: str) -> str:
    """A text that says something."""
    value = given.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key} must be a text that is not empty, got {value!r}")
    return value


def query(given: Mapping[str, Any], key: str) -> str:
    """A sentence as it stands; an empty one passes here and is refused, alone, by ``clean``."""
    value = given.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{key} must be a text, got {value!r}")
    return value


def identity(given: Mapping[str, Any], key: str) -> str:
    """A data set's own id, a text or a whole number."""
    value = given.get(key)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text(given, key)


def video_file(name: str, suffix: str = ".mp4") -> str:
    """The file of a video that may be named by its id alone; ids have dots in them (``x_60.0_210.0``)."""
    return name if name.lower().endswith(VIDEO_SUFFIXES) else name + suffix


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


def spans(pairs: Any, key: str) -> tuple[Span, ...]:
    """A list of spans, or one span written without the list around it."""
    if not isinstance(pairs, list):
        raise ValueError(f"{key} must be a list of [start, end], got {pairs!r}")
    if len(pairs) == 2 and all(is_number(value) for value in pairs):
        return (span(pairs, key),)
    return tuple(span(pair, key) for pair in pairs)


def cut(given: Mapping[str, Any], start_key: str, end_key: str) -> Span | None:
    """The part of the file that is the video; None where both keys are null."""
    if given.get(start_key) is None and given.get(end_key) is None:
        return None
    return Span(number(given, start_key), number(given, end_key))


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number that a float can hold; true and false are none."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1e300)


def _parsed(content: str) -> Any:
    try:
        return json.loads(content, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("JSON nested too deep to be annotations") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object; keep one of them")
    return found
