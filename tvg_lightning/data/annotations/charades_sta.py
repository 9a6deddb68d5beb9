"""Charades-STA as published: lines ``3MSZA 24.3 30.4##person turn a light on.``, lengths in Charades' csv.

Or the json in ActivityNet's form (see ``per_video``), whose ids are ``3MSZA_0``; or Moment-DETR's lines (see
``moment_detr``), with ids of their own. In the originals 562 of 3,720
test windows and 1,805 of 12,408 training windows end after their video, by up to 1.5 s: they are clipped. Four
training windows are reversed: they are refused.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path

from tvg_lightning.data.annotations import moment_detr, per_video
from tvg_lightning.data.annotations.fields import identity_of_location, video_file
from tvg_lightning.data.annotations.records import Record, numbered
from tvg_lightning.files import at, first_keys, read_table, read_text
from tvg_lightning.schema import Span

_LINE = re.compile(r"(?P<video>\S+) (?P<start>\S+) (?P<end>\S+?)##(?P<query>.*\S.*)")


def records(annotations: Path, lengths: Path | None = None) -> Iterator[Record]:
    """All queries; ``lengths`` is the csv (default: ``Charades_v1_test.csv`` beside ``charades_sta_test.txt``).

    Without it the lines have no durations: they can be scored against, but no sample can be made of them.
    """
    if not read_text(annotations).lstrip().startswith(("{", "[")):
        return _of_lines(annotations, lengths)
    if lengths is not None:
        raise ValueError(f"{annotations}: this form has its durations in it; leave the companion out")
    is_moment_detr = "query" in first_keys(annotations)
    return numbered(moment_detr.records(annotations)) if is_moment_detr else per_video.records(annotations)


def _of_lines(annotations: Path, lengths: Path | None) -> Iterator[Record]:
    lines = list(_read_lines(annotations))
    split = annotations.stem.removeprefix("charades_sta_")
    usual = annotations.with_name(f"Charades_v1_{split}.csv")
    can_do_without = lengths is None and not usual.exists()  # to score, but not to train
    durations_s = {} if can_do_without else read_lengths(lengths or usual)
    for line, video, window, query in lines:
        sample_id = identity_of_location(annotations, line)
        with at(annotations, line):
            record = Record(line, sample_id, video_file(video), durations_s.get(video), query, (window,))
        yield record


def _read_lines(annotations: Path) -> Iterator[tuple[int, str, Span, str]]:
    for line, text in enumerate(read_text(annotations).split("\n"), start=1):
        if not text.strip():
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise ValueError(f"{annotations}:{line}: not of the form 'VIDEO START END##SENTENCE': {text[:80]!r}")
        window = Span(*(_seconds(match[key], f"{annotations}:{line}: {key}") for key in ("start", "end")))
        yield line, match["video"], window, match["query"]


def read_lengths(file: Path) -> dict[str, float]:
    """Video id to seconds, from the columns ``id`` and ``length``."""
    durations_s: dict[str, float] = {}
    for line, row in read_table(file, ("id", "length")):
        where = f"{file}:{line}: length"
        duration_s = _seconds(row["length"], where)
        if not (duration_s > 0 and math.isfinite(duration_s)):
            raise ValueError(f"{where}: must be a positive number of seconds, got {duration_s}")
        durations_s[row["id"]] = duration_s
    return durations_s


def _seconds(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"{where}: not a number of seconds: {text!r}") from error
