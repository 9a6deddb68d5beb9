"""OMTG's benchmark (arXiv 2606.06294): a table parted by tabs, one question a row about all windows of an event.

Columns ``video`` (a path in the folder of videos), ``question`` (the whole question to the model) and ``answer``
(``<time>12.0 - 15.5 seconds</time>``, once for every window, read as any text that states times); ``index`` and
``duration`` are taken where they stand. Ids are ``<file's stem>:<index>``, else by the row from 0. Where there is no
duration, a second file may give it (see ``lengths``). An answer without words says that the event is not in the
video; OMTG's scorer takes any answer that it cannot read for that, here its truth is unknown. The scorer also
drops windows that are reversed or empty; here ``clean`` refuses the row.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from tvg_lightning.data.annotations.fields import identity_of_location, video_file, video_stem
from tvg_lightning.data.annotations.lengths import lengths
from tvg_lightning.data.annotations.records import Record, numbered
from tvg_lightning.data.annotations.xtuner import NO_WINDOW, stated
from tvg_lightning.files import at, read_table

COLUMNS = ("video", "question", "answer")


def records(annotations: Path, companion: Path | None = None) -> Iterator[Record]:
    """All questions; ``companion`` has lengths of videos. ValueError naming file and line where the form is broken."""
    return numbered(_records(annotations, lengths(companion)))


def _records(annotations: Path, durations_s: Mapping[str, float]) -> Iterator[Record]:
    for index, (line, row) in enumerate(read_table(annotations, COLUMNS, delimiter="\t")):
        with at(annotations, line):
            if not row["video"].strip():
                raise ValueError("video must be a text that is not empty")
            video, answer = video_file(row["video"].strip()), row["answer"].strip()
            windows = stated(answer) if answer else ()
            record = Record(
                line,
                identity_of_location(annotations, (row.get("index") or "").strip() or index),
                video,
                _duration_s(row, video, durations_s),
                row["question"],
                windows,
                noted=(NO_WINDOW,) if windows is None else (),
            )
        yield record


def _duration_s(row: Mapping[str, str], video: str, durations_s: Mapping[str, float]) -> float | None:
    given = (row.get("duration") or "").strip()
    if not given:
        return durations_s.get(video_stem(PurePosixPath(video).name))
    try:
        return float(given)
    except ValueError as error:
        raise ValueError(f"duration must be a number of seconds, got {given!r}") from error
