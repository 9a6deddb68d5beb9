"""What a worker and its pool say to each other, over a socket in this process."""

import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tvg_lightning.data.caches.digests import digest_of
from tvg_lightning.data.caches.frame_cache import FrameCache
from tvg_lightning.data.caches.tensor_store import TensorStore, tensor_bytes
from tvg_lightning.data.probing import probe
from tvg_lightning.data.video import FrameSettings, VideoClip, VideoError, read_clip
from tvg_lightning.data.workers import worker
from tvg_lightning.data.workers.worker import (
    OPENED,
    READY,
    ClipJob,
    ClipReply,
    ClipRequest,
    DigestJob,
    Failed,
    ProbeJob,
    Refusal,
    fill,
    receive,
    send,
)
from tvg_lightning.schema import Span

WriteVideo = Callable[..., Path]
TWO_FPS = FrameSettings()


@pytest.fixture
def video(write_video: WriteVideo) -> str:
    return str(write_video("a.mp4", [k / 10 for k in range(20)]))


@pytest.fixture
def channel() -> Iterator[socket.socket]:
    """The pool's end; at the other a worker works until this one is closed."""
    ours, theirs = socket.socketpair()
    working = threading.Thread(target=worker.work, args=(theirs,))
    working.start()
    yield ours
    ours.close()
    working.join(10)
    theirs.close()
    assert not working.is_alive(), "it ends with its pool"


def soon() -> float:
    return time.monotonic() + 60.0


def test_it_says_when_it_is_ready_and_answers_one_job_after_the_other(channel: socket.socket, video: str) -> None:
    assert receive(channel, soon()) == READY
    send(channel, ProbeJob(video))
    assert (receive(channel, soon()), receive(channel, soon())) == (probe(Path(video)), READY)
    request = ClipRequest(video, TWO_FPS, side=28)
    known = digest_of(Path(video))
    send(channel, DigestJob(request))
    assert (receive(channel, soon()), receive(channel, soon())) == (known, READY)
    send(channel, DigestJob(request, known))
    assert (receive(channel, soon()), receive(channel, soon())) == (known, READY)


def test_a_clip_comes_after_the_news_that_its_file_opens(channel: socket.socket, video: str, tmp_path: Path) -> None:
    """And is kept once it is sent."""
    expected, request = (
        read_clip(video, TWO_FPS, Span(0.5, 1.6), side=28),
        ClipRequest(video, TWO_FPS, Span(0.5, 1.6), side=28),
    )
    assert receive(channel, soon()) == READY
    send(channel, ClipJob(request, tmp_path / "cache", 2**20, "key"))
    assert receive(channel, soon()) == OPENED
    reply = receive(channel, soon())
    assert reply == ClipReply(tuple(expected.frames.shape), expected.times_s, expected.fps, expected.backend)
    frames = torch.empty(expected.frames.shape, dtype=torch.uint8)
    fill(channel, tensor_bytes(frames), soon())
    assert torch.equal(frames, expected.frames) and receive(channel, soon()) == READY
    kept = FrameCache(tmp_path / "cache").find("key")
    assert kept is not None and torch.equal(kept.frames, frames)


def test_refusals_tell_a_bad_file_from_a_bad_part(channel: socket.socket, video: str) -> None:
    assert receive(channel, soon()) == READY
    send(channel, ClipJob(ClipRequest(video + ".absent", TWO_FPS, side=28)))
    refusal = receive(channel, soon())
    assert isinstance(refusal, Refusal) and not refusal.opens and "no such file" in refusal.reason
    assert receive(channel, soon()) == READY
    send(channel, ClipJob(ClipRequest(video, TWO_FPS, Span(7.0, 9.0), side=28)))
    assert receive(channel, soon()) == OPENED
    refusal = receive(channel, soon())
    assert isinstance(refusal, Refusal) and refusal.opens and "outside the video" in refusal.reason
    assert receive(channel, soon()) == READY


def test_what_nobody_foresaw_is_an_answer(
    channel: socket.socket, video: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever is asked; the worker goes on, and its log has the whole of it."""

    def broken(*_: object) -> None:
        raise OverflowError("a time too long")

    for name in ("probe", "digest_of", "clip_of"):
        monkeypatch.setattr(worker, name, broken)
    request = ClipRequest(video, TWO_FPS, side=28)
    for job, opened in ((ProbeJob(video), []), (DigestJob(request), []), (ClipJob(request), [OPENED])):
        assert receive(channel, soon()) == READY
        send(channel, job)
        assert [receive(channel, soon()) for _ in opened] == opened
        assert receive(channel, soon()) == Failed("reading it raised OverflowError: a time too long")
    assert receive(channel, soon()) == READY
    assert capfd.readouterr().err.count("Traceback") == 3


def test_a_file_is_said_to_open_before_it_is_decoded(video: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def decode(*_: object) -> VideoClip:
        said.append("decoded")
        raise VideoError("its frames are damaged")

    monkeypatch.setattr(worker, "clip_of", decode)
    with pytest.raises(VideoError, match="damaged"):
        worker.read(ClipRequest(video, TWO_FPS, side=28), lambda: said.append("opened"))
    assert said == ["opened", "decoded"]


def test_a_full_disk_is_not_the_videos_fault(
    video: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(TensorStore, "store", full)
    worker.keep(
        ClipJob(ClipRequest(video, TWO_FPS, side=28), tmp_path, 2**20, "key"), read_clip(video, TWO_FPS, side=28)
    )
    assert capsys.readouterr().err == f"the frame cache could not keep {video}: [Errno 28] No space left on device\n"


def test_what_does_not_come_is_not_waited_for_for_ever() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(b"abc")
            room = bytearray(5)
            with pytest.raises(TimeoutError):
                fill(ours, memoryview(room), time.monotonic() + 0.05)
            assert room == b"abc\0\0"
            send(theirs, {"any": ["object"]})
        assert receive(ours, soon()) == {"any": ["object"]}
        with pytest.raises(EOFError):
            receive(ours, soon())


def test_a_worker_whose_parent_is_gone_ends() -> None:
    with pytest.raises(SystemExit):
        worker.die_with(parent=-1)
