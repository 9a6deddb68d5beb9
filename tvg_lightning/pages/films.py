"""A video for a page: a strip of small frames, always inside the page, and the file itself, inside or linked."""

import io
import os
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tvg_lightning.data.containers import readable
from tvg_lightning.data.video import FrameSettings, read_clip
from tvg_lightning.pages.pieces import Json
from tvg_lightning.schema import Span

MIB = 2**20
_SIDE = 28  # the size of a frame in a strip is counted in squares of 28 x 28 pixels
JPEG_QUALITY = 80
_MIME = {".webm": "video/webm", ".mkv": "video/x-matroska", ".mov": "video/quicktime", ".ogv": "video/ogg"}


@dataclass(frozen=True, slots=True)
class Strip:
    """Frames spread over a video, (T, H, W, 3) uint8, each with its time in seconds."""

    frames: NDArray[np.uint8]
    times_s: tuple[float, ...]

    def as_json(self) -> Json:
        """The frames side by side in one JPEG as a data address, their size, number and times."""
        num, height, width, _ = self.frames.shape
        picture = io.BytesIO()
        side_by_side = np.ascontiguousarray(self.frames.transpose(1, 0, 2, 3).reshape(height, num * width, 3))
        Image.fromarray(side_by_side).save(picture, "JPEG", quality=JPEG_QUALITY, optimize=True)
        address = f"data:image/jpeg;base64,{b64encode(picture.getvalue()).decode('ascii')}"
        times_s = [round(time_s, 3) for time_s in self.times_s]
        return {"src": address, "num": num, "width": width, "height": height, "times_s": times_s}


def read_strip(path: Path, num_frames: int = 24, tokens: int = 24, segment: Span | None = None) -> Strip:
    """``num_frames`` (even) frames of a file, of at most ``tokens`` times 28 x 28 pixels, by the reader of training.

    A file with fewer frames gives those that it has. VideoError where it cannot be read.
    """
    settings = FrameSettings(uniform_frames=num_frames, max_tokens=tokens)
    clip = read_clip(path, settings, segment, side=_SIDE)
    return Strip(clip.frames.numpy(), clip.times_s)


def film_of(
    video: Path, duration_s: float, codec: str | None, strip: Strip, page_folder: Path, most_mib: float
) -> Json:
    """All that a page needs to play a video; the file is inside the page up to ``most_mib`` MiB, beyond it linked.

    ``most_mib`` 0 always links. A link is relative to the folder of the page, so that both can move together.
    """
    is_inside = video.stat().st_size <= most_mib * MIB
    film: Json = {
        "name": readable(Path(video.name)),
        "duration_s": round(duration_s, 3),
        "codec": codec or "unknown",
        "mime": _MIME.get(video.suffix.lower(), "video/mp4"),
        "strip": strip.as_json(),
        "inside": is_inside,
    }
    if is_inside:
        return film | {"bytes": b64encode(video.read_bytes()).decode("ascii")}
    return film | {"link": quote(os.fsencode(os.path.relpath(video.resolve(), page_folder.resolve())))}
