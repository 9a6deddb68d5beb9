"""Records: the annotated queries of a file as they stand, before any check that they can be true.

A reader of a data set only translates its form: ``records(path, …)`` gives a ``Record`` for every annotated
query, windows as published. ``clean`` then makes the samples to train and evaluate on, clipping and refusing
with a note; ``score`` takes the records as they are, because published metrics are over published windows.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from tvg_lightning.data.annotations.report import ReadResult, Tally
from tvg_lightning.data.annotations.video_names import must_be_inside
from tvg_lightning.files import BAD_CHARACTERS, Location, name_text, plain_text
from tvg_lightning.schema import Sample, Span


@dataclass(frozen=True, slots=True)
class Record:
    """One annotated query as its file has it. Times are seconds from the start of the (cut) video.

    Every reader makes these, so here is the gate for what is no text: of a query it is replaced and noted, of an id or
    a video's name it is a ValueError.
    """

    location: Location
    sample_id: str
    video: str  # path of the file, relative to the data's video folder
    duration_s: float | None  # None: no source tells the length of the video
    query: str
    windows: tuple[Span, ...] | None  # (): the event is not in the video; None: the truth is unknown
    cut: Span | None = None
    fixed: tuple[str, ...] = ()  # what the reader itself had to repair
    kind: str = ""  # the kind of question, where the data tells it
    noted: tuple[str, ...] = ()  # what stands as published, but is worth knowing
    captions: tuple[str, ...] = ()
    rollouts: tuple[str, ...] = ()
    weight: float = 1.0  # in the draw of a training set

    def __post_init__(self) -> None:
        name_text(self.sample_id, "the id")
        name_text(self.video, "the video")
        plain = {
            "query": (self.query, plain_text(self.query)),
            "captions": (self.captions, tuple(map(plain_text, self.captions))),
            "rollouts": (self.rollouts, tuple(map(plain_text, self.rollouts))),
        }
        for key, (given, text) in plain.items():
            if text != given:
                object.__setattr__(self, key, text)
                object.__setattr__(self, "fixed", (*self.fixed, f"{BAD_CHARACTERS} in the {key}: replaced by U+FFFD"))


def clean(path: Path, records: Iterable[Record], videos_outside: bool = False) -> ReadResult:
    """The samples that can be used, with every repair, clip and refusal noted.

    ValueError, naming the file and both locations, where two records have one id; and, unless ``videos_outside`` allows
    it, for a video that leads out of the folder of videos. Every sample comes this way, so its name can be joined.
    """
    tally = Tally(path)
    seen: dict[str, Location] = {}
    for record in records:
        first = seen.setdefault(record.sample_id, record.location)
        if first != record.location:
            raise ValueError(
                f"{path}:{record.location}: id {record.sample_id!r} is already that of {first}; make it unique"
            )
        if not videos_outside:
            _check_video(path, record)
        tally.fixed += [(record.location, why) for why in record.fixed]
        tally.noted += [(record.location, why) for why in (*record.noted, *_of_windows(record.windows or ()))]
        query = tally.query(record.location, record.query)
        why = _refusal(record, query)
        if why is not None:
            tally.refused.append((record.location, why))
            # of a record without length, too, it is said what no length could make true
            tally.refuse_impossible(record.location, record.windows or (), math.inf)
            continue
        assert record.duration_s is not None
        windows = record.windows
        if windows is not None:
            windows = tally.fit(record.location, windows, record.duration_s)
            if windows is None:
                continue
        tally.samples.append(
            Sample(
                record.sample_id,
                record.video,
                record.duration_s,
                query,
                windows,
                record.cut,
                record.kind,
                record.captions,
                record.rollouts,
                weight=record.weight,
            )
        )
    return tally.result()


def numbered(records: Iterable[Record]) -> Iterator[Record]:
    """The records, with a number added to an id that came before: for releases that do not promise unique ids."""
    counts: Counter[str] = Counter()
    for record in records:
        counts[record.sample_id] += 1
        number = counts[record.sample_id]
        if number == 1:
            yield record
        else:
            why = "id occurs again: a number is added"
            yield replace(record, sample_id=f"{record.sample_id}#{number}", fixed=(*record.fixed, why))


def _check_video(path: Path, record: Record) -> None:
    try:
        must_be_inside(record.video)
    except ValueError as error:
        raise ValueError(
            f"{path}:{record.location}: {error}. If you trust this file, set data.videos_outside to true (tools: "
            "--videos_outside true); else remove the line, or make the name one within the folder"
        ) from error


def _of_windows(windows: Sequence[Span]) -> Iterator[str]:
    """Notes on windows that a sum of their lengths, or their order, would betray.

    >>> list(_of_windows([Span(6.0, 8.0), Span(0.0, 4.0), Span(4.0, 5.0)]))
    ['windows are not in order of time', 'windows touch or overlap']
    """
    in_order = sorted(windows)
    if list(windows) != in_order:
        yield "windows are not in order of time"
    if any(first.end_s >= second.start_s for first, second in pairwise(in_order)):
        yield "windows touch or overlap"


def _refusal(record: Record, query: str) -> str | None:
    if not query:
        return "query is empty"
    if record.duration_s is None:
        return "video has no length"
    if not (math.isfinite(record.duration_s) and record.duration_s > 0):
        return "duration is not a positive number of seconds"
    cut = record.cut
    if cut is not None and not (math.isfinite(cut.end_s) and 0 <= cut.start_s < cut.end_s):
        return "cut is not 0 <= start < end"
    return None
