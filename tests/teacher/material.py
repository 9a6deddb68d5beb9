"""Videos and annotations small enough to write for a test."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tvg_lightning.data.annotations import jsonl
from tvg_lightning.schema import Sample, Span

DURATION_S = 4.0


def write_video(path: Path, num_frames: int = 8, fps: int = 2) -> Path:
    """Frame k is plain grey of brightness 16 * k."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 56, 28, "yuv420p"
        for k in range(num_frames):
            frame = av.VideoFrame.from_ndarray(np.full((28, 56, 3), 16 * k, np.uint8), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, fps)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def samples(num: int) -> list[Sample]:
    """Queries ``number 0``, ``number 1`` … about one video, true from 1 s to 2 s."""
    return [Sample(f"s{k}", "a.mp4", DURATION_S, f"number {k}", (Span(1.0, 2.0),)) for k in range(num)]


def write_material(folder: Path, num: int) -> tuple[Path, Path]:
    """A file of annotations and the folder of its video."""
    write_video(folder / "videos" / "a.mp4")
    jsonl.write(folder / "train.jsonl", samples(num))
    return folder / "train.jsonl", folder / "videos"
