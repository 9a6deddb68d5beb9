"""TimeLens2-93K (arXiv 2607.17423): JSON lines, grouped by video (see ``timelens_100k``) or one query a line.

``{"video_path": "a.mp4", "duration": 44.0, "query": "…", "span": [[3, 4]], "rollouts": ["[[3, 4]]", "[[2, 5]]", …]}``

``span`` is a list of windows. ``rollouts`` are answers of the authors' SFT model, kept as it wrote them: their
training set is drawn by them, with ``(1 - mean tIoU + 1e-8)^2``. A ``video_path`` without a suffix is a folder of
frames taken at ``sample_fps``; frames are not read here, so the file of its name is taken, and that is reported.
Their loader keeps a sample if any of its windows is within the video; here one impossible window refuses it (see
``clean``), and a late end is cut. Ids are ``<file's stem>:<index>``, or ``…:<index>_<event>`` where grouped.
"""

from collections.abc import Iterator
from pathlib import Path

from tvg_lightning.data.annotations.fields import identity_of_location
from tvg_lightning.data.annotations.records import Record
from tvg_lightning.data.annotations.timelens_100k import of_event, of_events
from tvg_lightning.files import at, read_items


def records(annotations: Path) -> Iterator[Record]:
    """All queries; ValueError naming file and line where the form is broken."""
    for index, (location, given) in enumerate(read_items(annotations, ("video_path", "duration"))):
        if "events" in given:
            yield from of_events(annotations, index, location, given)
            continue
        with at(annotations, location):
            record = of_event(location, identity_of_location(annotations, index), given, given)
        yield record
