"""ActivityNet Captions: the release's object a video (see ``per_video``), or JSON lines (see ``moment_detr``).

Ids are ``v_abc_0`` (the sentence's index within its video), or the lines' own qid. Two sentences of three
begin with a blank, repaired by ``clean``; some ends lie up to 0.01 s beyond the video through rounding, clipped;
two training windows are reversed and two empty, refused. val_1 and val_2 describe the same videos twice.
"""

from collections.abc import Iterator
from pathlib import Path

from tvg_lightning.data.annotations import moment_detr, per_video
from tvg_lightning.data.annotations.records import Record, numbered
from tvg_lightning.files import first_keys


def records(annotations: Path) -> Iterator[Record]:
    """All sentences; ValueError naming file and video (or line) where the form is broken."""
    if "query" in first_keys(annotations):
        return numbered(moment_detr.records(annotations))
    return per_video.records(annotations)
