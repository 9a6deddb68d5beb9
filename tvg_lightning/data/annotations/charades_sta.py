"""Charades-STA as published: lines ``3MSZA 24.3 30.4##person turn a light on.``, lengths in Charades' csv.

In the originals 562 of 3,720 test windows and 1,805 of 12,408 training windows end after their video, by up
to 1.5 s: they are clipped. Four training windows are reversed: they are refused.
"""

import csv
import io
import math
import re
from pathlib import Path

from tvg_lightning.data.annotations.report import ReadResult, Tally
from tvg_lightning.schema import Sample, Span

_LINE = re.compile(r"(?P<video>\S+) (?P<start>\S+) (?P<end>\S+?)##(?P<query>.*\S.*)")


def read(annotations: str | Path, lengths: str | Path, video_suffix: str = ".mp4") -> ReadResult:
    """All samples of ``charades_sta_test.txt``, with the durations of ``Charades_v1_test.csv``.

    ValueError with file and line where the form is broken; impossible times are refused and reported.
    """
    file = Path(annotations)
    durations_s = read_lengths(lengths)
    tally = Tally(file)
    for line, text in enumerate(_open(file).split("\n"), start=1):
        if not text.strip():
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise ValueError(f"{file}:{line}: not of the form 'VIDEO START END##SENTENCE': {text[:80]!r}")
        video = match["video"]
        if video not in durations_s:
            tally.refused.append((line, f"video has no length in {Path(lengths).name}"))
            continue
        window = Span(*(_seconds(match[key], f"{file}:{line}: {key}") for key in ("start", "end")))
        windows = tally.fit(line, [window], durations_s[video])
        if windows is not None:
            query = tally.query(line, match["query"])
            sample_id = f"{file.stem}:{line}"
            tally.samples.append(Sample(sample_id, video + video_suffix, durations_s[video], query, windows))
    return tally.result()


def read_lengths(path: str | Path) -> dict[str, float]:
    """Video id to seconds, from the columns ``id`` and ``length``."""
    file = Path(path)
    durations_s: dict[str, float] = {}
    rows = csv.DictReader(io.StringIO(_open(file)))
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


def _open(file: Path) -> str:
    if not file.is_file():
        raise ValueError(f"{file}: no such annotation file; download Charades-STA and Charades' csv files")
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not UTF-8 text (byte {error.start})") from error
