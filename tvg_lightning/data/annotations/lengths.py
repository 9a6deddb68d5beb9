"""Lengths of videos from a second file, for releases that leave them out."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from tvg_lightning.data.annotations import moment_detr
from tvg_lightning.data.annotations.charades_sta import read_lengths
from tvg_lightning.data.annotations.fields import video_stem
from tvg_lightning.files import first_keys, read_text


def lengths(companion: Path | None) -> Mapping[str, float]:
    """Seconds by the name of a video without folder and suffix; none where there is no second file.

    A csv with the columns id and length, as Charades is published with, or lines in Moment-DETR's form, whose ``vid``
    and ``duration`` are taken. ValueError where one video has two lengths.
    """
    if companion is None:
        return {}
    if not read_text(companion).lstrip().startswith(("{", "[")):
        return read_lengths(companion)
    if "vid" not in first_keys(companion):
        raise ValueError(
            f"{companion}: the lengths of videos are read from a csv with the columns id and length, or from lines "
            "with qid, query, vid and duration; this is neither"
        )
    durations_s: dict[str, float] = {}
    for video, duration_s in _of_lines(companion):
        if durations_s.setdefault(video, duration_s) != duration_s:
            raise ValueError(f"{companion}: {video} is said to last {durations_s[video]} s and {duration_s} s")
    return durations_s


def _of_lines(companion: Path) -> Iterator[tuple[str, float]]:
    for record in moment_detr.records(companion):
        assert record.duration_s is not None, "the form has it"
        yield video_stem(PurePosixPath(record.video).name), record.duration_s
