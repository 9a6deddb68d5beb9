"""Videos small enough to write for a test, in which every frame says which one it is."""

import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from tvg_lightning.data.video import FrameSettings

NUM_BARS = 8  # frame k shows the binary digits of k as upright bars, white for 1: no codec blurs that
CLOCK = Fraction(1, 1000)

WriteVideo = Callable[..., Path]


@pytest.fixture
def write_video(tmp_path: Path) -> WriteVideo:
    """``write_video(name, times_s, …)`` gives a file whose frame k is shown at ``times_s[k]``.

    ``still_s``: how long the last frame stands; ``sound_s``: seconds of silence, from 0 on.
    """

    def write(
        name: str,
        times_s: Sequence[float],
        codec: str = "libx264",
        options: dict[str, str] | None = None,
        size: tuple[int, int] = (64, 48),
        container: dict[str, str] | None = None,
        rotation: int = 0,
        still_s: float = 0.0,
        pix_fmt: str = "yuv420p",
        sound_s: float = 0.0,
    ) -> Path:
        path = tmp_path / name
        width, height = size
        with av.open(str(path), "w", options=container or {}) as output:
            stream = output.add_stream(codec, rate=30, options=options or {})
            stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
            sound = output.add_stream("aac", rate=8000, layout="mono") if sound_s else None
            stream.codec_context.time_base = stream.time_base = CLOCK
            stream.codec_context.gop_size = 12
            packets = []
            for k, time_s in enumerate(times_s):
                pixels = np.zeros((height, width, 3), np.uint8)
                if rotation:
                    pixels[: height // 4, : width // 4] = 255  # a white corner, top left as stored
                else:
                    bars = [255 * (k >> bar & 1) for bar in range(NUM_BARS)]
                    pixels[:] = np.array(bars)[np.arange(width) * NUM_BARS // width, None]
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = round(time_s / CLOCK), CLOCK
                packets += stream.encode(frame)
            packets += stream.encode(None)
            if still_s:  # of the last picture
                last = max(packets, key=lambda packet: packet.pts)
                last.duration = round(still_s / CLOCK)
            if sound is not None:
                silence = av.AudioFrame.from_ndarray(
                    np.zeros((1, round(8000 * sound_s)), np.float32), format="fltp", layout="mono"
                )
                silence.sample_rate, silence.pts = 8000, 0
                packets += [*sound.encode(silence), *sound.encode(None)]
            for packet in packets:
                output.mux(packet)
        if rotation:
            _turn(path, rotation)
        return path

    return write


EACH_CHANGED = [  # every field of the settings, one at a time
    FrameSettings(fps=1.0),
    FrameSettings(max_frames=64),
    FrameSettings(min_frames=4),
    FrameSettings(max_tokens=64),
    FrameSettings(min_tokens=2),
    FrameSettings(total_tokens=3),
    FrameSettings(uniform_frames=4),
    FrameSettings(decoder="pyav"),
]


def alter_in_place(path: Path) -> None:
    """Another last byte; the name, the size and the date stay as they are."""
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


MATRICES = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}  # a b c d of the clockwise turns


def _turn(path: Path, degrees: int) -> None:
    set_matrix(path, MATRICES[degrees])


def set_matrix(path: Path, abcd: tuple[int, int, int, int]) -> None:
    """Write an orientation into an mp4's track header: its matrix is nine 32-bit numbers, a b u c d v x y w."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40  # after version, dates, ids, layer, volume
    for slot, value in zip((0, 1, 3, 4), abcd, strict=True):
        content[at + 4 * slot : at + 4 * slot + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(bytes(content))


@pytest.fixture
def shown() -> Callable[[torch.Tensor], list[int]]:
    """Which frame each frame of a clip is, read from its bars."""

    def number(frames: torch.Tensor) -> list[int]:
        bars = frames.float().mean((1, 3)).unflatten(1, (NUM_BARS, -1)).mean(2) > 128
        return [sum(1 << bar for bar, is_white in enumerate(row) if is_white) for row in bars.tolist()]

    return number


@pytest.fixture
def doubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoders that hang, crash, raise, leave or take all memory on files named so, in workers only."""
    folder = tmp_path / "doubles"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(DOUBLES)
    monkeypatch.syspath_prepend(folder)


DOUBLES = """
import atexit, os, signal, sys, time
from tvg_lightning.data import decoders
from tvg_lightning.data.caches import digests, tensor_store

opened = decoders.open_file
listed = set()

def open_(path):
    if "hangs" in path.name or path in listed:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.Signals)
        time.sleep(3600)
    if "crashes" in path.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hogs" in path.name:  # all memory, until the system ends it
        os.kill(os.getpid(), signal.SIGKILL)
    if "raises" in path.name:
        raise KeyError("nobody foresaw this")
    if "leaves" in path.name:  # its end takes a while
        atexit.register(time.sleep, 1)
        sys.exit(3)
    if "stalls" in path.name:  # its frames can be listed, and then no more
        listed.add(path)
    return opened(path)

decoders.open_file = open_

digest_of = digests.digest_of

def digest_(path, known=None):
    if "silent" in path.name:  # a disk that does not give its bytes
        time.sleep(3600)
    return digest_of(path, known)

digests.digest_of = digest_

if "DISK_HANGS" in os.environ:
    tensor_store.TensorStore.store = lambda *_: time.sleep(3600)
"""
