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
    """``write_video(name, times_s, …)`` gives a file whose frame k is shown at ``times_s[k]``."""

    def write(
        name: str,
        times_s: Sequence[float],
        codec: str = "libx264",
        options: dict[str, str] | None = None,
        size: tuple[int, int] = (64, 48),
        container: dict[str, str] | None = None,
        rotation: int = 0,
    ) -> Path:
        path = tmp_path / name
        width, height = size
        with av.open(str(path), "w", options=container or {}) as output:
            stream = output.add_stream(codec, rate=30, options=options or {})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.time_base = stream.time_base = CLOCK
            stream.codec_context.gop_size = 12
            for k, time_s in enumerate(times_s):
                pixels = np.zeros((height, width, 3), np.uint8)
                if rotation:
                    pixels[: height // 4, : width // 4] = 255  # a white corner, top left as stored
                else:
                    bars = [255 * (k >> bar & 1) for bar in range(NUM_BARS)]
                    pixels[:] = np.repeat(bars, width // NUM_BARS)[:, None]
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = round(time_s / CLOCK), CLOCK
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        if rotation:
            _turn(path, rotation)
        return path

    return write


EACH_CHANGED = [  # every field of the settings, one at a time
    FrameSettings(fps=1.0),
    FrameSettings(max_frames=64),
    FrameSettings(min_frames=4),
    FrameSettings(max_pixels=784),
    FrameSettings(min_pixels=1000),
    FrameSettings(total_pixels=784),
    FrameSettings(uniform_frames=4),
    FrameSettings(decoder="pyav"),
]


def alter_in_place(path: Path) -> None:
    """Another last byte; the name, the size and the date stay as they are."""
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _turn(path: Path, degrees: int) -> None:
    """Write a rotation into an mp4's track header: its matrix is nine 32-bit numbers, a b u c d v x y w."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40  # after version, dates, ids, layer, volume
    sine, cosine = {90: (1, 0), 180: (0, -1), 270: (-1, 0)}[degrees]
    for slot, value in ((0, cosine), (1, sine), (3, -sine), (4, cosine)):
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
    """Decoders that hang, crash or take all memory, deaf to all but a kill, on files named so; in workers only."""
    folder = tmp_path / "doubles"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(DOUBLES)
    monkeypatch.syspath_prepend(folder)


DOUBLES = """
import os, signal, time
from tvg_lightning.data import decoders
from tvg_lightning.data.caches import digests, tensor_store

opened = decoders._open
listed = set()

def open_(path):
    if "hangs" in path.name or path in listed:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.Signals)
        time.sleep(3600)
    if "crashes" in path.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hogs" in path.name:  # all memory, until the system ends it
        os.kill(os.getpid(), signal.SIGKILL)
    if "stalls" in path.name:  # its frames can be listed, and then no more
        listed.add(path)
    return opened(path)

decoders._open = open_

digest_of = digests.digest_of

def digest_(path, known=None):
    if "silent" in path.name:  # a disk that does not give its bytes
        time.sleep(3600)
    return digest_of(path, known)

digests.digest_of = digest_

if "DISK_HANGS" in os.environ:
    tensor_store.TensorStore.store = lambda *_: time.sleep(3600)
"""
