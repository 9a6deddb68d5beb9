"""The report on a file of annotations, record by record: every change and every refusal is noted."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tvg_lightning.files import Location
from tvg_lightning.schema import Sample, Span

Note = tuple[Location, str]  # and what or why


@dataclass(frozen=True, slots=True)
class ReadReport:
    """The records that were changed or left out, and why."""

    path: str
    num_read: int  # samples that came out
    fixed: tuple[Note, ...] = ()  # read after a harmless repair
    clipped: tuple[Note, ...] = ()  # read with a window cut to the video
    refused: tuple[Note, ...] = ()  # not read
    noted: tuple[Note, ...] = ()  # read as it stands, but worth knowing; of what was refused, too

    @property
    def num_fixed(self) -> int:
        return len({location for location, _ in self.fixed})

    @property
    def num_clipped(self) -> int:
        return len({location for location, _ in self.clipped})

    @property
    def num_refused(self) -> int:
        return len({location for location, _ in self.refused})

    def summary(self) -> str:
        """One line for a log: the counts, and the reasons for refusal.

        >>> ReadReport("a.jsonl", 2, refused=((3, "window is reversed"), (4, "window is reversed"))).summary()
        'a.jsonl: 2 read, 0 fixed, 0 clipped, 2 refused (window is reversed: 2)'
        """
        reasons = ", ".join(f"{why}: {num}" for why, num in Counter(why for _, why in self.refused).most_common())
        counts = f"{self.num_read} read, {self.num_fixed} fixed, {self.num_clipped} clipped"
        return f"{self.path}: {counts}, {self.num_refused} refused" + (f" ({reasons})" if reasons else "")


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The samples of a file, in its order, and the report."""

    samples: tuple[Sample, ...]
    report: ReadReport


@dataclass(slots=True)
class Tally:
    """Notes taken while a file is read; ``result`` turns them into the report."""

    path: Path
    samples: list[Sample] = field(default_factory=list)
    fixed: list[Note] = field(default_factory=list)
    clipped: list[Note] = field(default_factory=list)
    refused: list[Note] = field(default_factory=list)
    noted: list[Note] = field(default_factory=list)

    def fit(self, location: Location, windows: Sequence[Span], duration_s: float) -> tuple[Span, ...] | None:
        """The windows within [0, duration_s]; None, with the record refused, if one of them cannot be true.

        One impossible window among several refuses the whole record: without it the truth would be another.
        """
        if self.refuse_impossible(location, windows, duration_s):
            return None
        fitted: list[Span] = []
        notes: list[Note] = []
        for window in windows:
            fitted.append(Span(max(window.start_s, 0.0), min(window.end_s, duration_s)))
            if fitted[-1] != window:
                notes.append((location, f"{tuple(window)} cut to {tuple(fitted[-1])}"))
        self.clipped += notes
        return tuple(fitted)

    def refuse_impossible(self, location: Location, windows: Sequence[Span], duration_s: float) -> bool:
        """True, with the reason of each noted, where some of the windows cannot be true."""
        reasons = [why for window in windows if (why := impossible(window, duration_s)) is not None]
        self.refused += [(location, why) for why in reasons]
        return bool(reasons)

    def query(self, location: Location, text: str) -> str:
        """The sentence with single blanks and none around it; a change is noted."""
        tidy = " ".join(text.split())
        if tidy != text:
            self.fixed.append((location, "blanks in the query"))
        return tidy

    def result(self) -> ReadResult:
        notes = (tuple(self.fixed), tuple(self.clipped), tuple(self.refused), tuple(self.noted))
        return ReadResult(tuple(self.samples), ReadReport(str(self.path), len(self.samples), *notes))


def impossible(window: Span, duration_s: float) -> str | None:
    """The reason why a window cannot be true of a video of ``duration_s``; None if it can, possibly after clipping.

    >>> impossible(Span(8.0, 7.0), 30.0), impossible(Span(8.0, 31.0), 30.0)
    ('window is reversed', None)
    """
    if not (math.isfinite(window.start_s) and math.isfinite(window.end_s)):
        return "window is not finite"
    if window.start_s > window.end_s:
        return "window is reversed"
    if window.start_s == window.end_s:
        return "window is empty"
    if window.start_s >= duration_s:
        return "window begins after the video's end"
    if window.end_s <= 0:
        return "window ends before the video's begin"
    return None
