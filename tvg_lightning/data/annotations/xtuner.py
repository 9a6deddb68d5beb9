"""XTuner's dialogs, in which TimeLens2 trains on Ego4D-NLQ and TimeLens-100K: JSON lines, many questions a video.

``{"id": 0, "messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": "a.mp4",
"origin_video_length": 14400, "origin_fps": 30.0}}, {"type": "text", "text": "<VIDEO_CONTEXT>\\n…"}]},
{"role": "assistant", "content": "[[17.3, 27.3]]"}, {"role": "user", "content": "…"}, …]}``

The first turn holds the video, whose duration is its number of frames / fps (``origin_…`` of a file, ``processed_…``
of a folder of frames); later turns are about the same one. The windows of an answer are read from its text, in
whichever of the many templates it is put. A question may end with a line that states its template, told by its
brackets. Ego4D's put the query in quotes, TimeLens-100K's are the query: the quoted part is taken where most
questions of the file have one. Ids are ``<file's stem>:<id>_<answer>``, the answers of a dialog counted from 0.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvg_lightning.data.annotations.fields import (
    identity,
    identity_of_location,
    message_text,
    number,
    text,
    video_or_folder,
)
from tvg_lightning.data.annotations.records import Record, numbered
from tvg_lightning.files import Location, at, read_items, require
from tvg_lightning.schema import Span
from tvg_lightning.timestrings import stated_windows

KEYS = ("id", "messages")
VIDEO_MARK = "<VIDEO_CONTEXT>"
NO_WINDOW = "the answer states no window: the truth is unknown"

_QUOTED = re.compile(r'"(.*)"', re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Turn:
    """A question with its answer, and the video that both are about."""

    location: Location
    sample_id: str
    video: Mapping[str, Any]
    question: str  # without the line on its template
    answer: str


def records(annotations: Path) -> Iterator[Record]:
    """All answers; ValueError naming file and dialog where the form is broken."""
    turns = list(_turns(annotations))
    quoted = [_QUOTED.search(turn.question) for turn in turns]
    are_quoted = 2 * sum(match is not None for match in quoted) > len(turns)
    return numbered(
        _record(annotations, turn, match if are_quoted else None) for turn, match in zip(turns, quoted, strict=True)
    )


def _record(annotations: Path, turn: _Turn, quoted: re.Match[str] | None) -> Record:
    with at(annotations, turn.location):
        name, fixed = video_or_folder(text(turn.video, "url"))
        windows = stated(turn.answer)
        return Record(
            turn.location,
            turn.sample_id,
            name,
            _duration_s(turn.video),
            quoted[1] if quoted is not None else turn.question,
            windows,
            fixed=fixed,
            noted=() if windows else (NO_WINDOW,),
        )


def stated(answer: str) -> tuple[Span, ...] | None:
    """Every window that an answer states, as it stands; None where there is none."""
    return tuple(stated_windows(answer)) or None


def _turns(annotations: Path) -> Iterator[_Turn]:
    for location, given in read_items(annotations, KEYS):
        with at(annotations, location):
            dialog = identity(given, "id")
            if not isinstance(given["messages"], list):
                raise ValueError(f"messages must be a list, got {given['messages']!r}")
        video: Mapping[str, Any] | None = None
        question: str | None = None
        num_answers = 0
        for index, message in enumerate(given["messages"]):
            place = f"{location} message {index}"
            with at(annotations, place):
                require(message, ("role", "content"))
                if message["role"] == "user":
                    video = _video(message["content"]) or video
                    question = _question(message_text(message["content"]))
                if message["role"] != "assistant":
                    continue
                if video is None or question is None:
                    raise ValueError("an answer stands before any question with a video")
                sample_id = identity_of_location(annotations, f"{dialog}_{num_answers}")
                turn = _Turn(place, sample_id, video, question, message_text(message["content"]))
            yield turn
            num_answers, question = num_answers + 1, None


def _video(content: Any) -> Mapping[str, Any] | None:
    """The video that a turn brings; None where it brings none."""
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and part.get("type") == "video_url":
            require(part, ("video_url",))
            require(part["video_url"], ("url",))
            video: Mapping[str, Any] = part["video_url"]
            return video
    return None


def _question(words: str) -> str:
    """A user's words without the mark of the video and the last line, where that states how to answer.

    >>> _question("<VIDEO_CONTEXT>\\nWhen does she sing?\\nAnswer as [[start, end]].")
    'When does she sing?'
    """
    words = words.replace(VIDEO_MARK, "").strip("\n")
    lead, _, last = words.rpartition("\n")
    return lead if lead.strip() and "[" in last else words


def _duration_s(video: Mapping[str, Any]) -> float:
    kind = "origin" if "origin_video_length" in video else "processed"
    fps = number(video, f"{kind}_fps")
    if not 0 < fps < float("inf"):
        raise ValueError(f"{kind}_fps must be positive, got {fps}")
    return number(video, f"{kind}_video_length") / fps
