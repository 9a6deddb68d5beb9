"""Properties of a video file, and whether it can be read: without a model, before a long job."""

import os
from dataclasses import dataclass
from pathlib import Path

from tvg_lightning.data.containers import UnreadableError, readable
from tvg_lightning.data.decoders import index_frames, shown_as
from tvg_lightning.data.frame_times import shown_until, spacing
from tvg_lightning.data.video import FrameSettings, decode
from tvg_lightning.files import VIDEO_SUFFIXES

_PROBE_FRAMES = FrameSettings(uniform_frames=16, max_tokens=1, decoder="decord")
_SIDE = 28  # any: nobody looks at the frames


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file; all but path, ok and error are None where it cannot be read.

    ``duration_s`` lasts to the end of the last frame, ``fps`` is the mean rate, both by the frames' true times;
    ``start_s`` is when the first frame is shown, which is not 0 where the sound begins before it. Height and width are
    as shown, after the clockwise ``rotation`` in degrees that the file asks for.
    """

    path: str
    ok: bool
    backend: str | None = None
    duration_s: float | None = None
    fps: float | None = None
    num_frames: int | None = None
    width: int | None = None
    height: int | None = None
    rotation: int | None = None
    codec: str | None = None
    error: str | None = None
    start_s: float | None = None


def probe(path: Path) -> FileReport:
    """List the frames of a file and decode up to 16 of them, from the first to the last; decord goes first."""
    try:
        index = index_frames(path)
        num_frames = len(index.pts)
        taken = sorted({round(k * (num_frames - 1) / 15) for k in range(16)})
        _, backend = decode(index, taken, _PROBE_FRAMES, _SIDE)
        height, width, rotation = shown_as(index)
    except UnreadableError as error:
        return unreadable(str(path), str(error))
    start_s, last_s = index.times_s[0], index.times_s[-1]
    fps = (num_frames - 1) / (last_s - start_s) if num_frames > 1 else None
    gap_s, _ = spacing(index.times_s, 1.0 / _PROBE_FRAMES.fps)
    duration_s = shown_until(index.times_s, gap_s, index.end_s)
    return FileReport(
        path=readable(path),
        ok=True,
        backend=backend,
        duration_s=None if fps is None and duration_s == start_s + gap_s else duration_s,
        start_s=start_s,
        fps=fps,
        num_frames=num_frames,
        width=width,
        height=height,
        rotation=rotation,
        codec=index.codec,
    )


def unreadable(path: str, error: str) -> FileReport:
    """The report of a file that cannot be read."""
    return FileReport(readable(Path(path)), False, error=error)


def video_files(paths: list[Path]) -> list[Path]:
    """Files as given, and in folders, at any depth and behind links, those with a video's ending.

    ValueError for what is not there, and for a folder without any.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ValueError(f"{path}: no such file or folder")
        files = _below(path) if path.is_dir() else [path]
        if not files:
            raise ValueError(f"{path}: no video in this folder, by the endings {' '.join(VIDEO_SUFFIXES)}")
        found += files
    return found


def _below(folder: Path) -> list[Path]:
    """The videos of a folder; each folder in it once, for links may lead in circles."""
    seen: set[str] = set()
    found: list[Path] = []
    for here, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(here)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        found += [Path(here, name) for name in names if name.lower().endswith(VIDEO_SUFFIXES)]
    return sorted(found)
