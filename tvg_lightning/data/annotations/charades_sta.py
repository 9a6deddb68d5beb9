"""Charades-STA as published: lines ``3MSZA 24.3 30.4##person turn a light on.``, lengths in Charades' csv.

In the originals 562 of 3,720 test windows and 1,805 of 12,408 training windows end after their video, by up
to 1.5 s: they are clipped. Four training windows are reversed: they are refused.
"""

import csv
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path

from tvg_lightning.data.annotations.fields import read_text
from tvg_lightning.data.annotations.records import Record
from tvg_lightning.schema import Span

_LINE = re.compile(r"(?P<video>\S+) (?P<start>\S+) (?P<end>\S+?)##(?P<query>.*\S.*)")


def records(annotations: Path, lengths: Path, video_suffix: str = ".mp4") -> Iterator[Record]:
    """All lines of ``charades_sta_test.txt``, with the durations of ``Charades_v1_test.csv``.

    ValueError with file and line where the form is broken.
    """
    durations_s = read_lengths(lengths)
    for line, text in enumerate(read_text(annotations).split("\n"), start=1):
        if not text.strip():
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise ValueError(f"{annotations}:{line}: not of the form 'VIDEO START END##SENTENCE': {text[:80]!r}")
        window = Span(*(_seconds(match[key], f"{annotations}:{line}: {key}") for key in ("start", "end")))
        video, sample_id = match["video"], f"{annotations.stem}:{line}"
        yield Record(line, sample_id, video + video_suffix, durations_s.get(video), match["query"], (window,))


def read_lengths(path: str | Path) -> dict[str, float]:
    """Video id to seconds, from the columns ``id`` and ``length``."""
    file = Path(path)
    durations_s: dict[str, float] = {}
    rows = csv.DictReader(io.StringIO(read_text(file)))
    if not {"id", "length"} <= set(rows.fieldnames or ()):
        raise ValueError(f"{file}:1: the columns id and length are needed, found {rows.fieldnames}")
    for row in rows:
        where = f"{file}:{rows.line_num}: length"
        duration_s = _seconds(row["length"] or "", where)
        if not (duration_s > 0 and math.isfinite(duration_s)):
            raise ValueError(f"{where}: must be a positive number of seconds, got {duration_s}")
        durations_s[row["id"]] = duration_s
    return durations_s


def _seconds(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"{where}: not a number of seconds: {text!r}") from error
