"""Answers of a model in a file, in the forms that people publish, as one answer a question.

A file is JSON lines, one JSON list, or a JSON object (question to answer, video to answers, or both nested);
a folder is all its ``predictions*.jsonl``, as several processes write them. What a value is, is told by its
form: ``[start, end]`` in seconds, a list of such windows with the best first (``[start, end, score]``; the first
one counts even where a later one has a higher score, as in QVHighlights' own script), or a text, which is parsed.
Under ``spans`` a list of windows is the whole answer, a set: [] says that the event is not in the video.

``span`` and ``spans`` count before a ``text``, for so ``predict`` writes them. Other programs may mean the truth by
them: a line that ``predict`` did not write (it has no ``follows_format``) is refused where its text states windows
and none of them is under the key. Where the text states none, nothing can be seen, and the key is read.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvg_lightning.files import Location, at, is_number, name_text, plain_text, read_json, read_jsonl, read_text
from tvg_lightning.parsing import read_all
from tvg_lightning.presets import Scorer
from tvg_lightning.progress import tracked
from tvg_lightning.schema import Answer, AnswerFormat, Span
from tvg_lightning.spans import is_usable

# The first key that a line has is the one that is read. The names at the end mean the truth in some published
# files, which then hold the answer under a name further up.
PREDICTION_KEYS = (
    "pred_relevant_windows", "pred_windows", "pred_timestamps", "pred_timestamp", "pred_spans", "pred_span",
    "predicted_windows", "predicted_span", "pred", "prediction", "output_text", "response", "output", "raw_text",
    "span", "spans", "text", "timestamp", "answer",
)  # fmt: skip
_SET_KEY = "spans"
_TRUTH_OR_ANSWER = ("span", _SET_KEY)
_SAME_S = 0.5  # two ends this near are one, rounded
QID_KEYS = ("qid", "id", "sample_id", "query_id", "question_id", "annotation_id")
VIDEO_KEYS = ("video", "vid", "video_id", "video_name", "video_path", "path")
QUERY_KEYS = ("query", "sentence", "question", "description", "caption")


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer: the question it is for, as far as the file tells, and what was answered."""

    file: Path
    location: Location
    qid: str | None
    video: str | None
    query: str | None
    answer: Answer  # its spans None: unusable (nothing, no window in the text, not finite, start >= end)
    key: str  # the key of the line that was read
    keys_unread: tuple[str, ...] = ()  # and those that could have been

    def where(self) -> str:
        """``FILE:LINE``, for messages."""
        return f"{self.file}:{self.location}"


@dataclass(frozen=True, slots=True)
class _Reading:
    form: AnswerFormat
    read: Callable[[str], Answer]
    texts_first: bool


def read_predictions(path: Path, form: AnswerFormat, scorer: Scorer | None = None) -> list[Prediction]:
    """Every answer of a file or of the files of a folder; ``form`` is the format of a text.

    ``scorer``: the way of a preset to read a text, which then is read even where a line also has windows.

    ValueError, naming the file and the line, for what is no answer in any of the forms above.
    """
    files = sorted(path.glob("predictions*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path}: no predictions*.jsonl in this folder; name the file")
    read = Scorer(form).read if scorer is None else scorer.read
    reading = _Reading(form, read, texts_first=scorer is not None)
    predictions = [
        _to_prediction(file, *found, reading)
        for file in files
        for found in tracked(_objects(file), f"reading {file.name}", "answer")
    ]
    if not predictions:
        raise ValueError(f"{path}: holds no prediction")
    return predictions


def _objects(file: Path) -> Iterator[tuple[Location, Mapping[str, Any]]]:
    """Every object of a file that holds an answer, with its location."""
    if not file.is_file():
        raise ValueError(f"{file}: no such file of predictions")
    if not _is_one_value(read_text(file).strip()):
        yield from read_jsonl(file)
        return
    whole = read_json(file)
    if isinstance(whole, dict) and not _is_answer(whole):
        yield from _of_mapping(file, whole)
        return
    for index, item in enumerate(whole if isinstance(whole, list) else [whole]):
        if not isinstance(item, dict):
            raise ValueError(f"{file}:item {index}: not a JSON object: {_brief(item)}")
        yield f"item {index}", item


def _is_one_value(content: str) -> bool:
    """True where a text is one JSON value; several lines of JSON are not."""
    try:
        return json.JSONDecoder().raw_decode(content)[1] == len(content)
    except ValueError:
        return content.startswith("[")
    except RecursionError:  # whoever reads it says where
        return content.startswith("[") or "\n" not in content


def _of_mapping(file: Path, given: Mapping[str, Any], outer: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """``{qid: answer}``, ``{video: {qid: answer}}``, ``{video: [{sentence, timestamp}, …]}``, or these in results."""
    if not outer and isinstance(given.get("results"), dict):
        given = given["results"]
    for key, value in given.items():
        name = f"{outer}_{key}" if outer else key
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            yield from ((name, {"video": name, **item}) for item in value)
        elif not isinstance(value, dict):
            yield name, {"qid": name, "prediction": value}
        elif _is_answer(value):
            yield name, {"qid": name, **value}
        elif not outer:
            yield from _of_mapping(file, value, outer=key)
        else:
            raise ValueError(f"{file}:{name}: no prediction under any known key: {_brief(value)}")


def _is_answer(given: Mapping[str, Any]) -> bool:
    return any(key in given for key in PREDICTION_KEYS)


def _to_prediction(file: Path, location: Location, given: Mapping[str, Any], reading: _Reading) -> Prediction:
    keys = tuple(key for key in PREDICTION_KEYS if key in given)
    if reading.texts_first:
        keys = tuple(sorted(keys, key=lambda key: not isinstance(given[key], str)))
    with at(file, location):
        if not keys:
            raise ValueError(f"no prediction; write one under pred or text, found only {', '.join(given) or 'nothing'}")
        answer = _to_answer(given[keys[0]], keys[0], reading)
        if keys[0] in _TRUTH_OR_ANSWER and "follows_format" not in given:
            _check_agreement(keys[0], answer, given.get("text"), reading.form)
        qid, video, query = (_name(given, keys) for keys in (QID_KEYS, VIDEO_KEYS, QUERY_KEYS))
        for name, kind in ((qid, "the id"), (video, "the video")):
            name_text(name or "", kind)
        query = None if query is None else plain_text(query)  # as in the annotations
        if qid is None and (video is None or query is None):
            raise ValueError("does not say which question it answers; write its qid, or video and query")
    return Prediction(file, location, qid, video, query, answer, keys[0], keys[1:])


def _name(given: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    """The value of the first key that is there; a whole number is as good as its digits."""
    key = next((key for key in keys if given.get(key) is not None), None)
    if key is None:
        return None
    value = given[key]
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise ValueError(f"{key} must be a text or a whole number, got {_brief(value)}")
    return str(value)


def _to_answer(value: Any, key: str, reading: _Reading) -> Answer:
    if isinstance(value, str):
        return reading.read(value)
    if key == _SET_KEY:
        if not (value is None or isinstance(value, list)):
            raise ValueError(f"{key} must be a list of [start, end] in seconds or null, got {_brief(value)}")
        windows = None if value is None else tuple(_window_of(pair, key) for pair in value)
        return Answer(False, None if windows is None or None in windows else windows, is_set=True)  # type: ignore[arg-type]
    span = _to_span(value, key)
    return Answer(False, None if span is None else (span,))


def _check_agreement(key: str, answer: Answer, text: Any, form: AnswerFormat) -> None:
    """ValueError where a text states windows, and none of them is what stands under ``key``."""
    stated = read_all(text, form.method) if isinstance(text, str) and answer.spans is not None else []
    if stated and not any(_is_same(span, window) for span in answer.spans or () for window in stated):
        raise ValueError(
            f"{key} is {_brief([list(span) for span in answer.spans or ()])}, but the text says {list(stated[-1])}: "
            f"if {key} is the truth, remove it or give it another name; if it is the answer, remove the text"
        )


def _is_same(first: Span, second: Span) -> bool:
    return all(abs(a - b) <= _SAME_S for a, b in zip(first, second, strict=True))


def _to_span(value: Any, key: str) -> Span | None:
    """The first window of a value."""
    window = value[0] if isinstance(value, list) and value and isinstance(value[0], list) else value
    if window is None or window == []:
        return None
    return _window_of(window, key, (2,) if window is value else (2, 3))


def _window_of(window: Any, key: str, lengths: tuple[int, ...] = (2,)) -> Span | None:
    """A window; None where it cannot be used. A third number is the score, and only in a ranked list of windows."""
    if not (isinstance(window, list) and len(window) in lengths and all(t is None or is_number(t) for t in window)):
        raise ValueError(f"{key} must be [start, end] in seconds, a list of windows or a text, got {_brief(window)}")
    span = Span(*(math.nan if t is None else float(t) for t in window[:2]))
    return span if is_usable(span) else None


def _brief(value: Any) -> str:
    """The beginning of a value, for messages."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
