"""The run that a server works for: one at a time, for as long as it says that it lives."""

import os
import socket
import time
import weakref
from contextlib import suppress
from threading import Event, Lock, Thread
from uuid import uuid4

import httpx

LEASE_S = 30.0  # without a word of a run another may take its place
_BEAT_S = 5.0


class Claims:
    """The server's side; from any thread.

    >>> claims = Claims()
    >>> claims.take("a", "process 7 on host-1"), claims.take("a", "process 7 on host-1")
    (None, None)
    >>> claims.take("b", "process 9 on host-2")
    'process 7 on host-1 (last heard of 0 s ago)'
    >>> claims.leave("a")
    >>> claims.take("b", "process 9 on host-2")
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._run = self.holder = ""
        self._heard_s = 0.0

    def take(self, run: str, name: str) -> str | None:
        """Make the server work for a run; the words for the one that has it, and lives, where that is another."""
        with self._lock:
            silent_s = time.monotonic() - self._heard_s
            if self._run and run != self._run and silent_s < LEASE_S:
                return f"{self.holder} (last heard of {silent_s:.0f} s ago)"
            self._run, self.holder, self._heard_s = run, name, time.monotonic()
            return None

    def heard(self, run: str) -> None:
        """Note that a run lives."""
        with self._lock:
            if run == self._run:
                self._heard_s = time.monotonic()

    def leave(self, run: str) -> None:
        """Let others have the server."""
        with self._lock:
            if run == self._run:
                self._run = self.holder = ""

    def is_held_by(self, run: str) -> bool:
        """True for the run that the server works for."""
        with self._lock:
            return run == self._run


class Claim:
    """A run's side: says every few seconds that it lives, until it is dropped or its process ends."""

    def __init__(self, url: str) -> None:
        self.run = uuid4().hex
        self.name = f"process {os.getpid()} on {socket.gethostname()}"
        self._url, self._ended = url, Event()

    def keep(self) -> None:
        """Begin to say so."""
        Thread(target=_beat, args=(self._url, self.run, self._ended), daemon=True).start()
        weakref.finalize(self, _leave, self._url, self.run, self._ended, os.getpid())


def _beat(url: str, run: str, ended: Event) -> None:
    while not ended.wait(_BEAT_S):
        with suppress(httpx.RequestError):  # the calls themselves tell of a server that is away
            httpx.post(f"{url}/alive", json={"run": run}, timeout=_BEAT_S)


def _leave(url: str, run: str, ended: Event, pid: int) -> None:
    ended.set()
    if pid == os.getpid():  # and not in a process that was forked from it
        with suppress(httpx.RequestError):
            httpx.post(f"{url}/leave", json={"run": run}, timeout=_BEAT_S)
