"""Files that people and programs write: text, JSON, JSON lines, csv. Standard library only.

What cannot be read is a ValueError that names the file and the line. A whole file is written beside its place and
renamed, so that it is there whole or not at all. JSON lines that this project appends itself have one rule for a
process that dies while it writes: a last line without its end that is no JSON was never written.
"""

import csv
import io
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

Location = int | str  # of a record in its file: the line, or the key in a JSON file

# NUL, and half a pair of UTF-16: JSON can hold both, UTF-8 files neither
_BAD_CHARACTER = re.compile("[\x00\ud800-\udfff]")
BAD_CHARACTERS = "what is no text (half an emoji, or NUL)"

_FORMS = {
    "such lines are read by --benchmark qvhighlights": {"qid", "vid", "query"},
    "such lines are read by --benchmark jsonl": {"video", "query", "duration"},
}
VIDEO_SUFFIXES = (
    ".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".flv", ".wmv", ".3gp",
    ".ogv", ".gif", ".vob", ".asf",
)  # fmt: skip


@contextmanager
def at(file: Path, location: Location) -> Iterator[None]:
    """Add file and location to the message of a ValueError raised inside."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{file}:{location}: {error}") from error


@contextmanager
def noted(notes: list[str], meaning: str) -> Iterator[None]:
    """Add a sentence to ``notes`` in place of an error of reading inside: what is wrong where, and ``meaning``."""
    try:
        yield
    except (ValueError, OSError) as error:
        notes.append(f"{_said(error)}. {meaning}")


def _said(error: ValueError | OSError) -> str:
    if isinstance(error, OSError) and isinstance(error.filename, str | bytes):
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return str(error).removesuffix(".")


def plain_text(value: str) -> str:
    """The text with U+FFFD in place of half an emoji and of NUL, which no tokenizer, file or name can take.

    >>> plain_text("a cat \\ud83d jumps") == "a cat \\ufffd jumps", plain_text("\\U0001f431") == "\\U0001f431"
    (True, True)
    """
    return _BAD_CHARACTER.sub("\ufffd", value)


def name_text(value: str, key: str) -> str:
    """The value itself, or ValueError where it is no text: a name with other letters would name another thing."""
    if _BAD_CHARACTER.search(value):
        raise ValueError(f"{key} {value!r} holds {BAD_CHARACTERS}; write another name")
    return value


def read_text(file: Path) -> str:
    """The text of a file, without a byte order mark."""
    if not file.is_file():
        raise ValueError(f"{file}: {'a folder, not a file' if file.is_dir() else 'no such file'}")
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


def read_items(file: Path, keys: Collection[str]) -> Iterator[tuple[Location, dict[str, Any]]]:
    """The objects of JSON lines (at 1, 2, …) or of a JSON list (at ``item 0``, …); each must have all of ``keys``."""
    if read_text(file).lstrip().startswith("["):
        items: Iterator[tuple[Location, Any]] = ((f"item {index}", item) for index, item in enumerate(read_json(file)))
    else:
        items = iter(read_jsonl(file))
    for location, item in items:
        with at(file, location):
            require(item, keys)
        yield location, item


def read_table(file: Path, columns: Collection[str], delimiter: str = ",") -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and row of a csv file with a head that has all of ``columns``."""
    rows = csv.DictReader(io.StringIO(read_text(file), newline=""), delimiter=delimiter)
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


def json_lines(file: Path, many_writers: bool = False) -> Iterator[tuple[int, Any]]:
    """Line number and value of every line that a program has appended; a torn last one is passed over.

    ``many_writers``: several processes append, so that a torn line may stand anywhere.
    """
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                value = _parsed(line)
            except ValueError as error:
                if many_writers or not line.endswith(b"\n"):
                    continue
                raise ValueError(f"{file}:{number}: not JSON ({error}); remove the line or restore the file") from error
            yield number, value


def ends_torn(file: Path) -> bool:
    """True where ``json_lines`` passes over the last line, which its writer died in."""
    last = b""
    with file.open("rb") as lines:
        for line in lines:
            last = line
    if not last.strip() or last.endswith(b"\n"):
        return False
    try:
        _parsed(last)
    except ValueError:
        return True
    return False


def repair_last_line(file: Path) -> None:
    """Make a file that this process alone appends to end with a whole line.

    A torn record is cut off, a whole one without its line end gets it. No file needs no repair.
    """
    if not file.is_file():
        return
    last = b""
    with file.open("r+b") as lines:
        for line in lines:
            last = line
        if not last or last.endswith(b"\n"):
            return
        with suppress(RecursionError):  # whole or not, it was not written here: the reader says so
            try:
                json.loads(last)
            except ValueError:
                lines.truncate(lines.tell() - len(last))
                return
        lines.write(b"\n")


@contextmanager
def atomic_write(file: Path) -> Iterator[Path]:
    """A name beside ``file`` to write to, which takes the place of ``file`` in the end; after an error it goes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())  # else a power cut can leave the new name with nothing under it
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def write_jsonl(file: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line in UTF-8; half an emoji stays as the JSON escape that it came as."""
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    with atomic_write(file) as part:
        part.write_bytes(lines.encode("utf-8", errors="backslashreplace"))


def refuse_existing(*files: Path) -> None:
    """ValueError where a file to write is there already, or two of them are one."""
    for number, file in enumerate(files):
        if file.exists():
            raise ValueError(f"{file} exists already: remove it or choose another name")
        if file.resolve() in [other.resolve() for other in files[:number]]:
            raise ValueError(f"{file} is to be written twice: choose another name for one of the two")


def append_json(file: Path, record: Mapping[str, Any]) -> None:
    """Add a line to a file that several processes append to: written at once, and apart from a torn one before it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    is_torn = file.is_file() and file.read_bytes()[-1:] not in (b"", b"\n")
    with file.open("ab", buffering=0) as lines:
        lines.write(b"\n" * is_torn + json.dumps(record).encode() + b"\n")


def require(given: Any, keys: Collection[str]) -> None:
    """ValueError unless ``given`` is an object with all these keys."""
    if not isinstance(given, dict):
        raise ValueError(f"another form: an object with {', '.join(keys)} is needed here, got {str(given)[:60]!r}")
    missing = [key for key in keys if key not in given]
    if missing:
        found = ", ".join(list(given)[:6]) + (", …" if len(given) > 6 else "")
        hint = next((form for form, its in _FORMS.items() if its <= given.keys()), "is it this data set's file?")
        raise ValueError(f"another form: {', '.join(missing)} missing, found {found or 'no keys'}; {hint}")


def is_number(value: Any) -> bool:
    """True for a JSON value that is a number that a float can hold; true and false are none."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1e300)


def _parsed(content: str | bytes) -> Any:
    try:
        return json.loads(content, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("JSON nested too deep to be read") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object; keep one of them")
    return found
