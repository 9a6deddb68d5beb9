"""TACoS: an object a video with times in frames (see ``per_video``), or JSON lines in seconds (see ``moment_detr``).

``{"s34-d28.avi": {"timestamps": [[201, 487]], "sentences": ["…"], "fps": 29.4, "num_frames": 11800}}``

Seconds are frames / fps, the duration is num_frames / fps. Ids are ``s34-d28_0`` in both forms. One sentence
often stands several times in a video, with the same or other windows; all are kept.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tvg_lightning.data.annotations import moment_detr, per_video
from tvg_lightning.data.annotations.fields import number
from tvg_lightning.data.annotations.records import Record, numbered
from tvg_lightning.files import first_keys


def records(annotations: Path) -> Iterator[Record]:
    """All sentences; ValueError naming file and video (or line) where the form is broken."""
    if "query" in first_keys(annotations):
        return numbered(moment_detr.records(annotations, suffix=".avi"))
    return per_video.records(annotations, ".avi", _in_frames, ("fps", "num_frames"))


def _in_frames(video: Mapping[str, Any]) -> tuple[float, float]:
    fps = number(video, "fps")
    if not 0 < fps < float("inf"):
        raise ValueError(f"fps must be positive, got {fps}")
    return number(video, "num_frames") / fps, fps
