"""Shared by the processes of one run: files of which each has its own, and work that the first does for all."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import lightning as L

_OF_A_RANK = re.compile(r"(.+)-rank(\d+)\.jsonl")


def rank_files(folder: Path) -> Iterator[tuple[Path, str, int]]:
    """The files ``<name>-rank<r>.jsonl`` of a folder in order, with name and rank; others are passed over."""
    for path in sorted(folder.glob("*-rank*.jsonl")):
        match = _OF_A_RANK.fullmatch(path.name)
        if match is not None:
            yield path, match[1], int(match[2])


def first_does(trainer: L.Trainer, work: Callable[[], None], failure: str) -> None:
    """Let the first process do ``work`` while the others wait; where it fails all end, not the first alone.

    ``failure`` says what a failing disk has prevented; a ValueError speaks for itself.
    """
    complaint: str | None = None
    cause: Exception | None = None
    if trainer.is_global_zero:
        try:
            work()
        except ValueError as error:
            complaint, cause = str(error), error
        except OSError as error:
            complaint, cause = f"{failure} ({error})", error
    complaint = trainer.strategy.broadcast(complaint)
    if complaint is not None:
        raise ValueError(complaint) from cause
