"""DiDeMo: a JSON list; each of several annotators chose a stretch of five-second segments.

``{"num_segments": 6, "description": "…", "times": [[1, 1], [1, 1], [0, 1]], "video": "a.mov", "annotation_id": 7}``

``times`` are first and last segment, both within, so [1, 1] is 5 to 10 s. Annotators disagree, and DiDeMo's own
metric averages over them. Grounding to one window needs one: the choice is ours (see ``consensus``), and every
record in which they disagree is noted. Durations are num_segments * 5 s; the last segment of a real file may be
shorter. Ids are the annotation_id.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tvg_lightning import spans
from tvg_lightning.data.annotations.fields import identity, number, query, span, text, video_file
from tvg_lightning.data.annotations.records import Record
from tvg_lightning.files import at, read_items
from tvg_lightning.schema import Span

KEYS = ("num_segments", "description", "times", "video", "annotation_id")
SEGMENT_S = 5.0


def records(annotations: Path) -> Iterator[Record]:
    """All descriptions; ValueError naming file and item where the form is broken."""
    for location, given in read_items(annotations, KEYS):
        with at(annotations, location):
            if not (isinstance(given["times"], list) and given["times"]):
                raise ValueError(f"times must be a list of [first, last] segment, got {given['times']!r}")
            chosen = [_in_seconds(span(pair, "times")) for pair in given["times"]]
            record = Record(
                location,
                identity(given, "annotation_id"),
                video_file(text(given, "video")),
                number(given, "num_segments") * SEGMENT_S,
                query(given, "description"),
                (consensus(chosen),),
                fixed=("annotators disagree: the consensus is taken",) if len(set(chosen)) > 1 else (),
            )
        yield record


def consensus(chosen: Sequence[Span]) -> Span:
    """The window that most annotators chose; of several, the one that overlaps all choices most, then the earliest.

    >>> consensus([Span(0, 5), Span(5, 10), Span(5, 15)])
    Span(start_s=5, end_s=10)
    """
    counts = Counter(chosen)

    def rank(window: Span) -> tuple[float, ...]:
        overlap = math.fsum(spans.iou(window, other) for other in chosen)  # exact: ties stay ties
        return (counts[window], overlap, -window.start_s, -window.end_s)

    return max(counts, key=rank)


def _in_seconds(segments: Span) -> Span:
    return Span(segments.start_s * SEGMENT_S, (segments.end_s + 1) * SEGMENT_S)
