"""A check, before any weight loads, that the videos that annotations name are there."""

import math
import os
from collections.abc import Iterable
from pathlib import Path

from tvg_lightning.data.video_files import NO_MAP, VideoMap, locate

_MOST = 500  # files looked for: a busy network disk takes some milliseconds for each


def missing_videos(key: str, folder: Path, names: Iterable[str], video_map: VideoMap = NO_MAP) -> str | None:
    """A warning where some files that the annotations of ``key`` name are missing, else None; ValueError where all are.

    ``video_map`` names the files of those that lie elsewhere (see ``video_files``).
    Up to 500 different names are all looked for; of more, every second, third, … in their alphabetical order.
    """
    files = sorted(set(names))
    looked_for = files[:: max(1, math.ceil(len(files) / _MOST))]
    missing = [file for name in looked_for if not os.path.isfile(file := locate(folder, name, video_map))]
    if not missing:
        return None
    scope = f"{len(files)} files" + (f" ({len(looked_for)} of them looked for)" if len(looked_for) < len(files) else "")
    if len(missing) == len(looked_for):
        raise ValueError(f"data.videos: none of the {scope} that {key} names is there, e.g. {missing[0]}")
    return f"data.videos: {len(missing)} of the {scope} that {key} names are not there, e.g. {missing[0]}"
