"""QVHighlights: JSON lines (see ``moment_detr``), ids are the qid.

``vid`` is ``<YouTube id>_<start>_<end>``: the released files are those parts, so times are relative to them and
nothing is cut here. A query may have several windows, sorted by start. The test split without truth is read
with windows unknown.
"""

from collections.abc import Iterator
from pathlib import Path

from tvg_lightning.data.annotations import moment_detr
from tvg_lightning.data.annotations.records import Record


def records(annotations: Path) -> Iterator[Record]:
    """All queries; ValueError with file and line where the form is broken."""
    return moment_detr.records(annotations)
