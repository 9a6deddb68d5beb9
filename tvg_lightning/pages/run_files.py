"""The files that a run has left beside its traces and metrics: config and starts; and film strips of its videos."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tvg_lightning.data.video import VideoError
from tvg_lightning.diagnosis.logged import files_of
from tvg_lightning.files import noted, read_text
from tvg_lightning.machine import read_starts
from tvg_lightning.pages.films import read_strip
from tvg_lightning.pages.pieces import Json
from tvg_lightning.progress import tracked

FILE = "config.yaml"
MAX_VIDEOS = 40
# keys of the configs of validate, test and predict, which older versions wrote under the name of a fit's
_NOT_OF_A_FIT = re.compile(r"^(return_predictions|verbose):", re.MULTILINE)


def config_of(run: Path, notes: list[str]) -> str | None:
    """The newest config that a fit of the run has written, as text; of others where there is none; else None.

    A sentence on each that cannot be read is added to ``notes``; one that is no config is given all the same.
    """
    found: tuple[Path, str] | None = None
    for path in reversed(files_of(run, FILE)):
        with noted(notes, "It is passed over: restore the file, or remove it."):
            text = read_text(path)
            is_of_a_fit = not _NOT_OF_A_FIT.search(text)
            found = (path, text) if is_of_a_fit or found is None else found
            if is_of_a_fit:
                break
    if found is None:
        return None
    with noted(notes, "It stands here as it is, and does not say where the videos are: give --videos."):
        _keys_of(found[1], str(found[0]))
    return found[1]


def _keys_of(config: str, name: str) -> dict[str, Any]:
    """The keys of a config; ValueError where it is none."""
    try:
        given: Any = yaml.safe_load(config)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{name}{line}: no YAML ({error.problem})") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{name}: no YAML ({' '.join(str(error).split())})") from error
    if not isinstance(given, dict):
        raise ValueError(f"{name}: {'empty' if given is None else 'not the keys of a config'}")
    return given


def videos_of(config: str | None) -> Path | None:
    """The folder of the videos by a config; None where it does not say one."""
    try:
        data = _keys_of(config or "", "config").get("data")
    except ValueError:
        return None
    return Path(data["videos"]) if isinstance(data, dict) and isinstance(data.get("videos"), str) else None


def ran_with(run: Path, notes: list[str]) -> list[str]:
    """A line for the starts of a run on the same machine with the same versions: when, and what those are."""
    by_words: dict[str, list[str]] = {}
    with noted(notes, "What the run ran with is left out."):
        for start in read_starts(run):
            when = start.started.replace("T", " ").replace("+00:00", " UTC")
            by_words.setdefault(" · ".join(start.words()), []).append(when)
    return [f"started {', '.join(times)}: {words}" for words, times in by_words.items()]


def strips_of(wanted: Mapping[str, Path | None]) -> tuple[Json, list[str]]:
    """Film strips of at most 40 videos, by name, and a sentence each on those that have none; None: of no known folder.

    A page without them shows lanes and texts all the same.
    """
    there = {name: path for name, path in wanted.items() if path is not None and os.path.isfile(path)}
    films: Json = {}
    unreadable = 0
    for name, path in tracked(list(there.items())[:MAX_VIDEOS], "film strips", "video"):
        try:
            films[name] = read_strip(path, num_frames=16, tokens=9).as_json()
        except VideoError:
            unreadable += 1
    lost = {name: path for name, path in wanted.items() if name not in there}
    notes = []
    if lost:
        folders = ", ".join(sorted({str(path.parent) for path in lost.values() if path is not None}))
        where = f"not in {folders}" if folders else "in a folder that no config names"
        notes.append(f"{_share(len(lost), len(wanted))} {where} and without a film strip here: give --videos.")
    if unreadable:
        notes.append(f"{_share(unreadable, len(wanted))} without a film strip here, as reading failed.")
    if len(there) > MAX_VIDEOS:
        notes.append(f"{MAX_VIDEOS} of {len(there)} videos have a film strip here, those of the first groups.")
    return films, notes


def _share(num: int, of: int) -> str:
    return f"{num} of {of} videos {'is' if num == 1 else 'are'}"
