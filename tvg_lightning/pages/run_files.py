"""The files that a run has left beside its traces: config, summary, starts; and film strips of its videos."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tvg_lightning.data.video import VideoError
from tvg_lightning.files import read_json, read_text
from tvg_lightning.machine import read_starts
from tvg_lightning.pages.films import read_strip
from tvg_lightning.pages.pieces import Json
from tvg_lightning.progress import tracked

MAX_VIDEOS = 40
# keys of the configs of validate, test and predict, which lie where a fit's lies
_NOT_OF_A_FIT = re.compile(r"^(return_predictions|verbose):", re.MULTILINE)


def config_of(run: Path) -> str | None:
    """The newest config that a fit of the run has written, as text; of others where there is none; else None."""
    files = [p for p in run.rglob("config.yaml") if not any(part.startswith("earlier-") for part in p.parts)]
    texts = [read_text(path) for path in sorted(files, key=lambda path: -path.stat().st_mtime)]
    return next((text for text in texts if not _NOT_OF_A_FIT.search(text)), texts[0] if texts else None)


def videos_of(config: str | None) -> Path | None:
    """The folder of the videos by a config; None where it does not say one."""
    try:
        given: Any = yaml.safe_load(config or "")
    except yaml.YAMLError:
        return None
    data = given.get("data") if isinstance(given, dict) else None
    return Path(data["videos"]) if isinstance(data, dict) and isinstance(data.get("videos"), str) else None


def summary_of(run: Path) -> list[Json]:
    """The rows of a run's table; none where it has not written one."""
    rows = read_json(run / "summary.json") if (run / "summary.json").is_file() else []
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def ran_with(run: Path) -> list[str]:
    """A line for the starts of a run on the same machine with the same versions: when, and what those are."""
    by_words: dict[str, list[str]] = {}
    try:
        starts = read_starts(run)
    except ValueError as error:  # the rest of the page stands all the same
        return [str(error)]
    for start in starts:
        when = start.started.replace("T", " ").replace("+00:00", " UTC")
        by_words.setdefault(" · ".join(start.words()), []).append(when)
    return [f"started {', '.join(times)}: {words}" for words, times in by_words.items()]


def strips_of(wanted: Mapping[str, Path | None]) -> tuple[Json, list[str]]:
    """Film strips of at most 40 videos, by name, and a sentence each on those that have none; None: of no known folder.

    A page without them shows lanes and texts all the same.
    """
    there = {name: path for name, path in wanted.items() if path is not None and path.is_file()}
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
