"""TaRO (arXiv 2606.09248): the lines that it evaluates on, or the list that verl trains and tests on.

``{"qid": 7, "query": "…", "duration": 31.0, "vid": "a", "relevant_windows": [[2, 5]], "video_file": "a.mp4"}``
``{"prompt": [{"role": "user", "content": "<video>… \\"a dog runs\\" …"}], "videos": ["…/a.mp4"], "video_start": null,
"video_end": null, "reward_model": {"ground_truth": [2, 5]}, "extra_info": {"index": 0, "duration": 31.0}}``

Either may name a part of the file by ``video_start`` and ``video_end``; windows and duration are relative to it. Ids
are the qid, in verl's form ``<file's stem>:<index>``. In verl's form the query stands in quotes in the first paragraph
of the prompt, where its last full stop was taken off; in the training set it has a key of its own, and ``captions``
lists what happens in the video. The folder in front of a file's name is that of the authors' machine and is left out.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tvg_lightning.data.annotations.fields import (
    cut,
    identity,
    identity_of_location,
    message_text,
    number,
    query,
    spans,
    text,
    texts,
    video_file,
)
from tvg_lightning.data.annotations.records import Record, numbered
from tvg_lightning.files import Location, at, first_keys, read_items, require

LINE_KEYS = ("qid", "query", "duration", "vid", "relevant_windows", "video_file")
VERL_KEYS = ("prompt", "videos", "reward_model", "extra_info")

_FOLDER = re.compile(r"(?:\./)?data/TimeR1-Dataset/(?:tvgbench|timerft)_data/")
_QUOTED = re.compile(r'"(.*)"', re.DOTALL)


def records(annotations: Path) -> Iterator[Record]:
    """All queries; ValueError naming file and line (or item) where the form is broken."""
    return _of_verl(annotations) if "prompt" in first_keys(annotations) else numbered(_of_lines(annotations))


def _of_lines(annotations: Path) -> Iterator[Record]:
    for location, given in read_items(annotations, LINE_KEYS):
        with at(annotations, location):
            record = Record(
                location,
                identity(given, "qid"),
                video_file(text(given, "video_file")),
                number(given, "duration"),
                query(given, "query"),
                spans(given["relevant_windows"], "relevant_windows"),
                cut(given, "video_start", "video_end"),
            )
        yield record


def _of_verl(annotations: Path) -> Iterator[Record]:
    for index, (location, given) in enumerate(read_items(annotations, VERL_KEYS)):
        with at(annotations, location):
            record = _verl_record(location, identity_of_location(annotations, index), given)
        yield record


def _verl_record(location: Location, sample_id: str, given: Mapping[str, Any]) -> Record:
    if not (isinstance(given["videos"], list) and len(given["videos"]) == 1):
        raise ValueError(f"videos must be a list of one name, got {given['videos']!r}")
    require(given["reward_model"], ("ground_truth",))
    require(given["extra_info"], ("duration",))
    return Record(
        location,
        sample_id,
        video_file(_FOLDER.sub("", text({"videos": given["videos"][0]}, "videos"), count=1)),
        number(given["extra_info"], "duration"),
        query(given, "query") if given.get("query") is not None else _asked(given["prompt"]),
        spans(given["reward_model"]["ground_truth"], "ground_truth"),
        cut(given, "video_start", "video_end"),
        captions=texts(given, "captions"),
    )


def _asked(prompt: Any) -> str:
    """The query that a prompt puts in quotes; it may have quotes in it, so the outermost ones count."""
    users = (
        [turn for turn in prompt if isinstance(turn, dict) and turn.get("role") == "user"]
        if isinstance(prompt, list)
        else []
    )
    if not users:
        raise ValueError(f"prompt must be a list with a user's turn, got {str(prompt)[:60]!r}")
    paragraph = message_text(users[-1].get("content")).partition("\n\n")[0]
    match = _QUOTED.search(paragraph)
    if match is None:
        raise ValueError(f"the prompt's first paragraph must hold the query in quotes, got {paragraph[:60]!r}")
    return match[1]
