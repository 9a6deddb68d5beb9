"""Checked values of an annotation; an error names the key."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tvg_lightning.files import VIDEO_SUFFIXES, Location, is_number, plain_text
from tvg_lightning.schema import Span

_KIND = re.compile(r"[A-Za-z0-9_-]+")


def beside(annotations: Path, name: str) -> Path:
    """The published companion of a file; ValueError if it is not there."""
    path = annotations.with_name(name)
    if not path.is_file():
        raise ValueError(f"{annotations}: needs {name} beside it; put it there, or say where it is with companion")
    return path


def text(given: Mapping[str, Any], key: str) -> str:
    """A text that is not empty."""
    value = given.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key} must be a text that is not empty, got {value!r}")
    return value


def message_text(content: Any) -> str:
    """The words of a chat message: its text, or those of its parts that are texts."""
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    words = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    if not words or not all(isinstance(word, str) for word in words):
        raise ValueError(f"content must be a text, or a list with a text in it, got {str(content)[:60]!r}")
    return "".join(str(word) for word in words)


def query(given: Mapping[str, Any], key: str) -> str:
    """A sentence as it stands; an empty one passes here and is refused, alone, by ``clean``."""
    value = given.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{key} must be a text, got {value!r}")
    return value


def kind(given: Mapping[str, Any], key: str) -> str:
    """A word for the kind of question."""
    value = given.get(key)
    if not isinstance(value, str) or not _KIND.fullmatch(value):
        raise ValueError(f"{key} must be a text of letters (a to z), digits, - and _, got {value!r}")
    return value


def texts(given: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list of texts, any of which may be empty; () where it is null or absent."""
    values = given.get(key)
    if values is None:
        return ()
    if not (isinstance(values, list) and all(isinstance(value, str) for value in values)):
        raise ValueError(f"{key} must be a list of texts, got {str(values)[:60]!r}")
    return tuple(values)


def identity(given: Mapping[str, Any], key: str) -> str:
    """A data set's own id, a text or a whole number."""
    value = given.get(key)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text(given, key)


def identity_of_location(file: Path, location: Location) -> str:
    """The id of what has none: its file's name and its place there; a name in another encoding is made text."""
    return f"{plain_text(file.stem)}:{location}"


def video_file(name: str, suffix: str = ".mp4") -> str:
    """The file of a video that may be named by its id alone; ids have dots in them (``x_60.0_210.0``)."""
    return name if name.lower().endswith(VIDEO_SUFFIXES) else name + suffix


def video_stem(name: str) -> str:
    """``s34-d28`` for ``s34-d28.avi``, ``x_60.0_210.0`` for itself."""
    return name.rpartition(".")[0] if name.lower().endswith(VIDEO_SUFFIXES) else name


def base_name(name: str) -> tuple[str, tuple[str, ...]]:
    """The file of a video without the folders of the authors' machine, and what was fixed where they lead out of ours.

    >>> base_name("videos/a.mp4"), base_name("/data/b.mp4")[0]
    (('a.mp4', ()), 'b.mp4')
    """
    path = PurePosixPath(name)
    why = "the authors' folder is left out of the video's name"
    return video_file(path.name or name), (why,) if path.is_absolute() or ".." in path.parts else ()


def video_or_folder(name: str) -> tuple[str, tuple[str, ...]]:
    """The file of a video, and what was fixed where a release has its frames in a folder of its name instead.

    >>> video_or_folder("didemo/a.mp4"), video_or_folder("didemo/a/")[0]
    (('didemo/a.mp4', ()), 'didemo/a.mp4')
    """
    file = video_file(name.rstrip("/"))
    why = "video is a folder of frames, which cannot be read: the file of its name with .mp4 is taken"
    return file, () if file == name else (why,)


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


def spans(pairs: Any, key: str) -> tuple[Span, ...] | None:
    """A list of spans, or one span without the list around it; None for no span, by which releases hide truth."""
    if not isinstance(pairs, list):
        raise ValueError(f"{key} must be a list of [start, end], got {pairs!r}")
    if len(pairs) == 2 and all(is_number(value) for value in pairs):
        return (span(pairs, key),)
    return tuple(span(pair, key) for pair in pairs) or None


def cut(given: Mapping[str, Any], start_key: str, end_key: str) -> Span | None:
    """The part of the file that is the video; None where both keys are null."""
    if given.get(start_key) is None and given.get(end_key) is None:
        return None
    return Span(number(given, start_key), number(given, end_key))
