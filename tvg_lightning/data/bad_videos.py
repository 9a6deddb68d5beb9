"""Videos that cannot be read: logged, replaced by a fixed rule, and no more of them than allowed."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tvg_lightning.files import append_json, json_lines
from tvg_lightning.schema import Span

_HOPELESS = 20  # so many in a row, and none that could be read: it is not the files


class TooManyBadVideosError(ValueError):
    """Too many videos cannot be read for the run to go on."""


@dataclass(frozen=True, slots=True)
class BadVideo:
    """A video that could not be read, why, and how long that took to find out.

    ``segment`` is the part that was asked for, None for the whole. ``opens``: its frames could be listed, so that
    other parts of it may be sound; where they could not, none is.
    """

    path: str
    reason: str
    seconds: float
    segment: Span | None = None
    opens: bool = False


class BadVideos:
    """The log of a run's bad videos, ``bad_videos.jsonl``; a resumed run reads it and does not try them again.

    More than ``max_share`` of the files ``videos`` bad is an error; others are written down and not counted.
    Several processes may write one log: each line is written at once. ``log`` None keeps them in memory only.
    """

    def __init__(self, log: Path | None, videos: Collection[str], max_share: float = 0.5) -> None:
        self.log, self.videos, self.max_share = log, frozenset(videos), max_share
        self._files: dict[str, BadVideo] = {}
        self._parts: dict[tuple[str, Span | None], BadVideo] = {}
        self._is_one_good = False
        self._num_new = 0
        self._read_log()
        self._refuse_too_many()

    def find(self, path: str, segment: Span | None = None) -> BadVideo | None:
        """The known fault of a part of a video, which reading it would find again; None where none is known.

        A part is never judged by another part of the same file, or draws would depend on which was tried first.
        """
        return self._files.get(path) or self._parts.get((path, segment))

    def __len__(self) -> int:
        """Number of bad files; a part counts for its file."""
        return len(self._paths())

    def note_good(self) -> None:
        """Note that a video could be read."""
        self._is_one_good = True

    def note(self, bad: BadVideo, position: int) -> None:
        """Log a bad video, met at ``position`` of the run; TooManyBadVideosError if it is one too many."""
        if self.find(bad.path, bad.segment) is not None:
            return
        self._num_new += bad.path in self.videos
        self._read_log()  # what other processes have found meanwhile counts, too
        self._add(bad)
        if self.log is not None:
            append_json(self.log, {**asdict(bad), "seconds": round(bad.seconds, 3), "position": position})
        self._refuse_too_many()

    def _paths(self) -> set[str]:
        return {bad.path for bad in [*self._files.values(), *self._parts.values()]}

    def _add(self, bad: BadVideo) -> None:
        if bad.opens:
            self._parts[bad.path, bad.segment] = bad
        else:
            self._files[bad.path] = bad

    def _read_log(self) -> None:
        for bad in [] if self.log is None else read_bad_videos(self.log):
            self._add(bad)

    def _refuse_too_many(self) -> None:
        num_bad = len(self._paths() & self.videos)
        is_hopeless = self._num_new >= _HOPELESS and not self._is_one_good
        if is_hopeless or num_bad > self.max_share * len(self.videos):
            share = "none so far could be read" if is_hopeless else f"the share allowed is {self.max_share:g}"
            raise TooManyBadVideosError(
                f"{num_bad} of {len(self.videos)} videos cannot be read ({share}); {self.log} says why. Check "
                "data.videos; repair the files (`python -m tvg_lightning probe FOLDER` tries them) and remove their "
                "lines from that log; or raise data.max_bad_share"
            )


def read_bad_videos(log: Path) -> list[BadVideo]:
    """Bad videos of a log; no file is an empty log. A torn line is passed over: its video will be found bad again."""
    bad: list[BadVideo] = []
    for _, record in json_lines(log, many_writers=True) if log.is_file() else ():
        try:
            segment = None if record["segment"] is None else Span(*record["segment"])
            path, reason, seconds = str(record["path"]), str(record["reason"]), float(record["seconds"])
            bad.append(BadVideo(path, reason, seconds, segment, bool(record["opens"])))
        except (ValueError, KeyError, TypeError):
            continue
    return bad


def replacements(order: Sequence[int], place: int) -> Iterator[int]:
    """The draws that may replace ``order[place]``: those after it in the epoch's shuffle, then from its start.

    The first that can be read is taken. Whether a file can be read does not depend on the run, so the draw does
    not depend on when, or by which process, the bad ones were found.

    >>> list(replacements([3, 0, 2, 1], 2))
    [1, 3, 0]
    """
    yield from order[place + 1 :]
    yield from order[:place]
