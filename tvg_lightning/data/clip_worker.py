"""The process that reads videos for ``clip_pool``, and what it and ``worker_process`` say to each other.

Each request and each reply is a pickle behind its length; the bytes of a clip's frames follow the reply. A reply to a
request for a clip is announced when the file is open, for that tells a bad file from a bad part of one.
"""

import ctypes
import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from tvg_lightning.data.frame_cache import FrameCache
from tvg_lightning.data.probing import FileReport, probe
from tvg_lightning.data.tensor_store import tensor_bytes
from tvg_lightning.data.video import SegmentError, VideoClip, VideoError, VideoSampling, clip_of, open_video
from tvg_lightning.schema import Span

_LENGTH_BYTES = 8
OPENED = "opened"  # said of a file before any of it is decoded
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """Frames of a file, or of a segment of it."""

    path: str
    sampling: VideoSampling
    segment: Span | None = None


@dataclass(frozen=True, slots=True)
class ClipJob:
    """A request as the worker gets it; ``cache`` and ``key`` say where to keep the clip."""

    request: ClipRequest
    cache: Path | None = None
    max_bytes: int = 1
    key: str | None = None


@dataclass(frozen=True, slots=True)
class ProbeJob:
    """Say what a file is and whether it can be read."""

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
    """Why a video, or this part of one that can be opened, cannot be read."""

    reason: str
    opens: bool


Job = ClipJob | ProbeJob
Reply = ClipReply | Refusal | FileReport


def read(job: ClipJob, on_opened: Callable[[], None] | None = None) -> VideoClip:
    """Decode a clip and keep it, if there is a cache; VideoError as ``read_clip``."""
    index = open_video(job.request.path)
    if on_opened is not None:
        on_opened()
    clip = clip_of(index, job.request.sampling, job.request.segment)
    try:
        FrameCache(job.cache, job.max_bytes).store(job.key, clip)
    except OSError as error:  # a full disk is not the video's fault
        sys.stderr.write(f"the frame cache could not keep {job.request.path}: {error}\n")
    return clip


def work(channel: socket.socket) -> None:
    """Answer requests until the other side is gone."""
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
    stream = channel.makefile("rb")
    send(channel, "ready")
    while header := stream.read(_LENGTH_BYTES):
        job: Job = pickle.loads(stream.read(int.from_bytes(header, "big")))
        if isinstance(job, ProbeJob):
            send(channel, probe(Path(job.path)))
            continue
        try:
            clip = read(job, partial(send, channel, OPENED))
        except VideoError as error:
            send(channel, Refusal(str(error), opens=isinstance(error, SegmentError)))
            continue
        send(channel, ClipReply(tuple(clip.frames.shape), clip.times_s, clip.fps, clip.backend))
        channel.sendall(tensor_bytes(clip.frames))


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
    """As many bytes as there is room for; TimeoutError when they do not come, EOFError when none will."""
    filled = 0
    while filled < len(room):
        channel.settimeout(max(until - time.monotonic(), 1e-3))
        num = channel.recv_into(room[filled:])
        if not num:
            raise EOFError
        filled += num


def die_with(parent: int) -> None:
    """No orphans, even where the decoder hangs; on other systems than Linux only the closed socket ends us."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            sys.exit()


def main(descriptor: int, parent: int) -> None:
    """Work at the socket of this number until the parent process is gone."""
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, who then closes the socket
    torch.set_num_threads(1)
    try:
        work(socket.socket(fileno=descriptor))
    except (BrokenPipeError, ConnectionResetError):
        sys.exit()
