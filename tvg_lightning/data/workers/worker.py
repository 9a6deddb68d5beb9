"""The process that reads videos for ``pool``, and the messages between it and ``handle``.

Each request and each reply is a pickle behind its length; the bytes of a clip's frames follow the reply. A reply to a
request for a clip is announced when the file is open, for that tells a bad file from a bad part of one. Before each
request the worker says that it is ready: what it does between a reply and that is on no video's time.
"""

import ctypes
import os
import pickle
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from tvg_lightning.data.caches.digests import FileDigest, digest_of
from tvg_lightning.data.caches.frame_cache import FrameCache
from tvg_lightning.data.caches.tensor_store import tensor_bytes
from tvg_lightning.data.probing import FileReport, probe
from tvg_lightning.data.video import FrameSettings, SegmentError, VideoClip, VideoError, clip_of, open_video
from tvg_lightning.schema import Span

_LENGTH_BYTES = 8
READY = "ready"
OPENED = "opened"  # said of a file before any of it is decoded
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """Frames of a file, or of a segment of it, for a policy whose video tokens cover ``side`` x ``side`` pixels."""

    path: str
    frames: FrameSettings
    segment: Span | None = None
    side: int = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class ClipJob:
    """A request as the worker gets it; ``cache`` and ``key`` say where to keep the clip."""

    request: ClipRequest
    cache: Path | None = None
    max_bytes: int = 1
    key: str | None = None


@dataclass(frozen=True, slots=True)
class DigestJob:
    """A request for the digest of a file, by which the caches know it; ``known`` is the one taken before."""

    request: ClipRequest
    known: FileDigest | None = None


@dataclass(frozen=True, slots=True)
class ProbeJob:
    """A request for the report on a file: what it is, and whether it can be read."""

    path: str


@dataclass(frozen=True, slots=True)
class ClipReply:
    """A clip without its frames, whose bytes follow."""

    shape: tuple[int, ...]
    times_s: tuple[float, ...]
    fps: float
    backend: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason why a video, or this part of one that can be opened, cannot be read."""

    reason: str
    opens: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """The answer to any request on which our own code or a library raised what nobody foresaw."""

    reason: str


Job = ClipJob | DigestJob | ProbeJob
Reply = ClipReply | Refusal | Failed | FileReport | FileDigest | None


def read(request: ClipRequest, on_opened: Callable[[], None] | None = None) -> VideoClip:
    """Decode a clip; VideoError as ``read_clip``."""
    index = open_video(request.path)
    if on_opened is not None:
        on_opened()
    return clip_of(index, request.frames, request.segment, request.side)


def keep(job: ClipJob, clip: VideoClip) -> None:
    """Store a clip where its job says, if it does."""
    try:
        _cache(job.cache, job.max_bytes).store(job.key, clip)
    except OSError as error:  # a full disk is not the video's fault
        sys.stderr.write(f"the frame cache could not keep {job.request.path}: {error}\n")


@lru_cache(maxsize=1)
def _cache(folder: Path | None, max_bytes: int) -> FrameCache:
    """One cache for all jobs: it knows how much it has written since it looked for what must go."""
    return FrameCache(folder, max_bytes)


def work(channel: socket.socket) -> None:
    """Answer requests until the other side is gone."""
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
    stream = channel.makefile("rb")
    send(channel, READY)
    while header := stream.read(_LENGTH_BYTES):
        job: Job = pickle.loads(stream.read(int.from_bytes(header, "big")))
        answer: _Answer = None
        with _Caught() as caught:
            answer = _answer(channel, job)
        if caught.reason is not None:
            answer = Failed(caught.reason)
        if not isinstance(answer, VideoClip):
            send(channel, answer)
        else:
            send(channel, ClipReply(tuple(answer.frames.shape), answer.times_s, answer.fps, answer.backend))
            channel.sendall(tensor_bytes(answer.frames))
            assert isinstance(job, ClipJob)
            keep(job, answer)
        send(channel, READY)


_Answer = VideoClip | Refusal | Failed | FileReport | FileDigest | None


class _Caught:
    """The last resort: what is raised inside is the answer, for the end of the process would not say what it was."""

    reason: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> bool:
        if not isinstance(error, Exception) or isinstance(error, BrokenPipeError | ConnectionResetError):
            return False  # the other side is gone
        traceback.print_exception(error, file=sys.stderr)
        words = "".join(traceback.format_exception_only(error)).strip().splitlines()
        self.reason = f"reading it raised {words[0]}"
        return True


def _answer(channel: socket.socket, job: Job) -> _Answer:
    """The clip, report or digest, or why there is none."""
    if isinstance(job, ProbeJob):
        return probe(Path(job.path))
    if isinstance(job, DigestJob):
        return digest_of(Path(job.request.path), job.known)
    try:
        return read(job.request, partial(send, channel, OPENED))
    except VideoError as error:
        return Refusal(str(error), opens=isinstance(error, SegmentError))


def send(channel: socket.socket, message: object) -> None:
    content = pickle.dumps(message)
    channel.sendall(len(content).to_bytes(_LENGTH_BYTES, "big") + content)


def receive(channel: socket.socket, until: float) -> Reply | str:
    """One message; TimeoutError and EOFError as ``fill``."""
    header = bytearray(_LENGTH_BYTES)
    fill(channel, memoryview(header), until)
    content = bytearray(int.from_bytes(header, "big"))
    fill(channel, memoryview(content), until)
    return pickle.loads(content)


def fill(channel: socket.socket, room: memoryview, until: float) -> None:
    """Receive as many bytes as there is room for; TimeoutError when they do not come, EOFError when none will."""
    filled = 0
    while filled < len(room):
        channel.settimeout(max(until - time.monotonic(), 1e-3))
        num = channel.recv_into(room[filled:])
        if not num:
            raise EOFError
        filled += num


def die_with(parent: int) -> None:
    """End with the parent, even where the decoder hangs; on other systems than Linux only the closed socket ends us."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            sys.exit()


def main(descriptor: int, parent: int) -> None:
    """Work at the socket of this number until the parent process is gone."""
    die_with(parent)
    torch.set_num_threads(1)
    try:
        work(socket.socket(fileno=descriptor))
    except (BrokenPipeError, ConnectionResetError):
        sys.exit()
