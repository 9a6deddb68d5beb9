"""The files of videos: the file that a name stands for, and a search for names whose files lie somewhere else."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tvg_lightning.data.annotations.fields import video_stem
from tvg_lightning.files import VIDEO_SUFFIXES, read_json
from tvg_lightning.progress import tracked

VideoMap = Mapping[str, str]  # name in the annotations -> path, absolute or within the folder of videos
NO_MAP: VideoMap = {}


def locate(folder: Path, name: str, video_map: VideoMap) -> Path:
    """The file of a video: as the map has it, else its name within the folder.

    >>> locate(Path("videos"), "a.mp4", {"a.mp4": "part 1/a.mkv"}).as_posix()
    'videos/part 1/a.mkv'
    """
    return folder / video_map.get(name, name)


def read_video_map(key: str, file: str | Path | None, folder: Path) -> VideoMap:
    """The mapping that ``data videos --map`` writes; none without a file.

    ValueError with the setting's ``key``, the file and the name for a path where no file is.
    """
    if file is None:
        return NO_MAP
    try:
        given = read_json(Path(file))
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error
    if not isinstance(given, dict):
        raise ValueError(f"{key}: {file}: must be a JSON object of video names to paths, got {str(given)[:60]!r}")
    for name, path in given.items():
        if not isinstance(path, str) or not path:
            raise ValueError(f"{key}: {file}: {name!r}: the path must be a text, got {path!r}")
        if not os.path.isfile(folder / path):
            raise ValueError(f"{key}: {file}: {name!r}: there is no file {folder / path}; write the map anew")
    return given


@dataclass(frozen=True, slots=True)
class VideoSearch:
    """The names of some annotations, each in one of four groups."""

    present: tuple[str, ...]
    moved: Mapping[str, Path]  # under another folder, or with another suffix
    ambiguous: Mapping[str, tuple[Path, ...]]  # several files could be meant
    missing: tuple[str, ...]


def search(names: Iterable[str], folder: Path) -> VideoSearch:
    """Look for the file of every name: at its place, then by its last part in the folder and all folders within.

    There a file of the same name goes before one of another suffix. Links are followed; several links to one file
    are one file.
    """
    wanted = sorted(set(names))
    looked = tracked(wanted, "looking for videos at their places", "video", len(wanted))
    present = [name for name in looked if os.path.isfile(folder / name)]
    absent = sorted(set(wanted).difference(present))
    found = _by_stem(folder) if absent else {}
    candidates = {name: _candidates(name, found) for name in absent}
    return VideoSearch(
        tuple(present),
        {name: files[0] for name, files in candidates.items() if len(files) == 1},
        {name: files for name, files in candidates.items() if len(files) > 1},
        tuple(name for name, files in candidates.items() if not files),
    )


def _candidates(name: str, found: Mapping[str, list[Path]]) -> tuple[Path, ...]:
    last = PurePosixPath(name).name
    of_stem = found.get(video_stem(last), [])
    same_name = [file for file in of_stem if file.name == last]
    different = {os.path.realpath(file): file for file in reversed(same_name or of_stem)}
    return tuple(sorted(different.values()))


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(tracked(_video_files(folder), "looking through all folders", "video")):
        files[video_stem(file.name)].append(file)
    return files


def _video_files(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for here, folders, files in os.walk(os.path.abspath(folder), followlinks=True):
        seen.add(os.path.realpath(here))
        # a link to a folder above would be walked for ever
        folders[:] = [name for name in folders if os.path.realpath(os.path.join(here, name)) not in seen]
        for name in files:
            file = os.path.join(here, name)
            if name.lower().endswith(VIDEO_SUFFIXES) and os.path.isfile(file):
                yield Path(file)
