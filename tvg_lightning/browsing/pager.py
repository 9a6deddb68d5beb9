"""A group a screen on a terminal, by single keys; the groups are read as they are asked for."""

import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TextIO

from tvg_lightning.browsing.screens import Look, screen
from tvg_lightning.browsing.selection import Group

_CLEAR = "\x1b[2J\x1b[H"
_NEXT, _BACK, _DOWN, _UP = (" ", "n", "\x1b[C"), ("b", "p", "\x1b[D"), ("j", "\x1b[B", "\r", "\n"), ("k", "\x1b[A")
_HELP = "space: next group · b: back · j, k: lines · t: texts · q: end"


def page(
    groups: Iterator[Group],
    look: Look,
    size: Callable[[], tuple[int, int]],
    key: Callable[[], str],
    out: TextIO,
) -> int:
    """Show groups until ``q`` or the end of the keys; the number of groups that were read.

    ``size`` gives the terminal's columns and lines, ``key`` the next key ("" at the end).
    """
    read: list[Group] = []
    at = top = 0
    while True:
        while len(read) <= at and (group := next(groups, None)) is not None:
            read.append(group)
        if not read:
            return 0
        is_last = at >= len(read)
        at = min(at, len(read) - 1)
        columns, height = size()
        lines = screen(read[at], replace(look, width=columns))
        room = max(height - 1, 1)
        top = min(max(top, 0), max(len(lines) - room, 0))
        shown = lines[top : top + room]
        more = f"lines {top + 1} to {top + len(shown)} of {len(lines)} · " if len(lines) > room else ""
        foot = f"group {at + 1}{' (the last)' if is_last else ''} · {more}{_HELP}"
        out.write(_CLEAR + "\n".join([*shown, look.paint(foot[: columns - 1], "7")]))
        out.flush()
        pressed = key()
        if pressed in ("q", "", "\x03", "\x04", "\x1b"):
            return len(read)
        if pressed in _NEXT:
            at, top = at + 1, 0
        elif pressed in _BACK:
            at, top = max(at - 1, 0), 0
        elif pressed in _DOWN:
            top += 1
        elif pressed in _UP:
            top -= 1
        elif pressed == "t":
            look, top = replace(look, has_texts=not look.has_texts), 0


@contextmanager
def keys() -> Iterator[Callable[[], str]]:
    """A function that waits for the next key of the terminal, which is put back as it was at the end."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    try:
        yield lambda: os.read(descriptor, 8).decode("utf-8", errors="replace")
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
