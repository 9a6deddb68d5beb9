"""Progress of long work with the time that is left: one line drawn anew on a terminal, else a line now and then.

It goes to standard error, so that results can be piped. A file that it is sent to can be read afterwards: a job of a
minute leaves a few lines, a job of a night some hundred. Standard library only.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Self, TextIO, TypeVar

T = TypeVar("T")

FIRST_LINE_S = 5.0  # shorter work says nothing where there is no terminal
REDRAW_S = 0.1
SHARE_OF_TOTAL = 0.02  # of the expected time, between two lines of a file
LEAST_S, MOST_S = 10.0, 300.0  # and its bounds


class Progress:
    """Counts what is done of ``total`` units (None: unknown); made to be closed, ``with`` does it.

    ``num_before`` of them were done by an earlier run; they count as done, and not for the speed. ``clock`` gives
    seconds. Time left is that of the units left at the mean speed so far.
    """

    def __init__(
        self,
        what: str,
        total: int | None,
        unit: str,
        num_before: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what, self.total, self.unit, self.num_before = what, total, unit, num_before
        self.num_done = num_before
        self.note = ""
        self._stream, self._clock = stream or sys.stderr, clock
        self._is_terminal = self._stream.isatty()
        self._began_s = self._said_s = clock()
        self._has_said = self._is_closed = False

    def update(self, num: int = 1, note: str | None = None) -> None:
        """Count ``num`` more as done; ``note`` stands behind the time left."""
        self.set(self.num_done + num, note)

    def set(self, num_done: int, note: str | None = None) -> None:
        """Say how many are done by now."""
        self.num_done = num_done
        self.note = self.note if note is None else note
        now_s = self._clock()
        if now_s - self._said_s >= self._wait_s(now_s):
            self._said_s, self._has_said = now_s, True
            self._say(self.line())

    def write(self, line: str, stream: TextIO | None = None) -> None:
        """A whole line beside the progress, by default on its stream."""
        self._wipe()
        (stream or self._stream).write(f"{line}\n")
        (stream or self._stream).flush()

    def close(self) -> None:
        """The last line, with the time that it took; a second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        took_s = self._clock() - self._began_s
        if self._has_said or took_s >= FIRST_LINE_S:
            self._wipe()
            self._stream.write(f"{self._last_line(took_s)}\n")
            self._stream.flush()

    def line(self) -> str:
        """All that is known now: how many of how many, seconds a unit, the time left, the note."""
        num, took_s = self.num_done - self.num_before, self._clock() - self._began_s
        parts = [f"{self.what}: {self._counted()}"]
        if num > 0:
            parts.append(f"{pace(took_s / num)} a {self.unit}")
            if self.total is not None:
                parts.append(f"{duration(took_s / num * max(self.total - self.num_done, 0))} left")
        return ", ".join(parts) + (f" · {self.note}" if self.note else "")

    def _counted(self) -> str:
        if self.total is None:
            return f"{plural(self.num_done, self.unit)}"
        share = f" ({self.num_done / self.total:.0%})" if self.total else ""
        return f"{self.num_done:,} of {plural(self.total, self.unit)}{share}"

    def _last_line(self, took_s: float) -> str:
        is_whole = self.total is None or self.num_done >= self.total
        counted = plural(self.num_done, self.unit) if is_whole else f"stopped at {self._counted()}"
        return f"{self.what}: {counted} in {duration(took_s)}" + (f" · {self.note}" if self.note else "")

    def _wait_s(self, now_s: float) -> float:
        if self._is_terminal:
            return REDRAW_S
        if not self._has_said:
            return FIRST_LINE_S
        num = self.num_done - self.num_before
        if self.total is None or num <= 0:
            return LEAST_S
        expected_s = (now_s - self._began_s) / num * (self.total - self.num_before)
        return min(max(SHARE_OF_TOTAL * expected_s, LEAST_S), MOST_S)

    def _say(self, line: str) -> None:
        if self._is_terminal:
            room = shutil.get_terminal_size().columns - 1
            self._stream.write(f"\r\x1b[K{line[:room]}")
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()

    def _wipe(self) -> None:
        if self._is_terminal and self._has_said:
            self._stream.write("\r\x1b[K")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def tracked(items: Iterable[T], what: str, unit: str, total: int | None = None) -> Iterator[T]:
    """The items, with progress as they are asked for; an item counts once the next one is."""
    with Progress(what, total, unit) as progress:
        for item in items:
            yield item
            progress.update()


def plural(num: int, unit: str) -> str:
    """The number with its unit.

    >>> plural(1, "video"), plural(1200, "video"), plural(2, "query")
    ('1 video', '1,200 videos', '2 queries')
    """
    many = f"{unit[:-1]}ies" if unit.endswith("ry") else f"{unit}es" if unit.endswith("ch") else f"{unit}s"
    return f"{num:,} {unit if num == 1 else many}"


def duration(seconds: float) -> str:
    """A length of time in its two largest units.

    >>> [duration(s) for s in (0.4, 59.6, 61, 3600, 9000, 200000)]
    ['0 s', '1 min 0 s', '1 min 1 s', '1 h 0 min', '2 h 30 min', '2 d 8 h']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def pace(seconds: float) -> str:
    """Seconds of one unit, with as many digits as tell something.

    >>> pace(0.00213), pace(0.213), pace(2.13), pace(213.4)
    ('2.1 ms', '0.21 s', '2.1 s', '3 min 33 s')
    """
    if seconds < 0.1:
        return f"{1000 * seconds:.1f} ms"
    return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s" if seconds < 60 else duration(seconds)
