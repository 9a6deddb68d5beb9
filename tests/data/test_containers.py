"""Files of all kinds as recorders, cutters and broadcasts leave them."""

import os
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.stream import Disposition

from tvg_lightning.data import containers
from tvg_lightning.data.containers import UnreadableError
from tvg_lightning.data.decoders import av_frames, decord_frames, index_frames
from tvg_lightning.data.probing import probe
from tvg_lightning.data.video import FrameSettings, VideoError, read_clip

WriteVideo = Callable[..., Path]


def as_is(frames: torch.Tensor) -> torch.Tensor:
    return frames


@pytest.fixture
def damaged(write_video: WriteVideo) -> Path:
    """A broadcast of which one of the packets of 188 bytes is missing, from the middle of a picture."""
    path = write_video("a.ts", [k / 10 for k in range(100)], size=(640, 480))
    content = path.read_bytes()
    for at in range(len(content) // 376 * 188, len(content), 188):
        path.write_bytes(content[:at] + content[at + 188 :])
        with av.open(str(path)) as container:
            if any(packet.is_corrupt for packet in container.demux(video=0)):
                return path
    raise AssertionError("every picture is in a packet of its own")


def test_a_broadcast_that_lost_a_packet_is_read(damaged: Path) -> None:
    index = index_frames(damaged)
    assert index.is_damaged and 95 <= len(index.pts) <= 100
    assert len(av_frames(index, range(0, len(index.pts), 7), as_is)) == len(range(0, len(index.pts), 7))
    assert len(av_frames(index, [60, 90], as_is)) == 2


def test_a_broadcast_of_which_much_is_lost_is_refused(damaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "_DAMAGED", 0.001)
    with pytest.raises(UnreadableError, match=r"[1-3] of its \d+ packets of pictures are damaged"):
        index_frames(damaged)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_what_comes_before_the_first_key_frame_is_left_out(
    name: str, write_video: WriteVideo, tmp_path: Path, shown: Callable[[torch.Tensor], list[int]]
) -> None:
    """A recording begun inside a group of pictures: packets are copied from the fifth on."""
    options = {"x264-params": "scenecut=0"}
    source, path = write_video("whole.mp4", [k / 10 for k in range(60)], options=options), tmp_path / name
    with av.open(str(source)) as whole, av.open(str(path), "w") as part:
        stream = part.add_stream_from_template(whole.streams.video[0])
        for packet in [packet for packet in whole.demux(video=0) if packet.size][5:]:
            packet.stream = stream
            part.mux(packet)
    index = index_frames(path)
    frames = av_frames(index, range(len(index.pts)), as_is)
    assert shown(frames) == list(range(12, 60))
    # time zero is the start of the recording, before the first picture that can be shown
    assert 0.3 < index.times_s[0] < 0.8 and index.times_s[-1] - index.times_s[0] == pytest.approx(4.7, abs=2e-3)


def test_time_begins_with_the_sound_of_a_broadcast(write_video: WriteVideo) -> None:
    """Its clock begins anywhere, and both streams with it."""
    late = index_frames(write_video("a.ts", [2.5 + k / 10 for k in range(30)], sound_s=5.0))
    assert late.times_s == pytest.approx([2.5 + k / 10 for k in range(30)], abs=0.15)
    assert len(av_frames(late, [0, 29], as_is)) == 2


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_time_begins_with_the_sound(name: str, write_video: WriteVideo) -> None:
    late = index_frames(write_video(name, [2.5 + k / 10 for k in range(30)], sound_s=5.0))
    assert late.times_s == pytest.approx([2.5 + k / 10 for k in range(30)], abs=2e-3)
    assert torch.equal(decord_frames(late, [0, 9], as_is), av_frames(late, [0, 9], as_is))
    soon = index_frames(write_video(name, [0.05 + k / 10 for k in range(30)], sound_s=5.0))
    assert soon.times_s[0] == 0.0  # the delay of an encoder


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.webm", "libvpx-vp9")])
def test_the_last_picture_may_stand(name: str, codec: str, write_video: WriteVideo) -> None:
    index = index_frames(write_video(name, [k / 5 for k in range(50)], codec, {"bf": "0"}, still_s=5.0))
    assert len(index.pts) == 50 and index.end_s == pytest.approx(14.8, abs=0.05)


def test_sound_that_goes_on_is_no_picture_that_stands(write_video: WriteVideo) -> None:
    index = index_frames(write_video("a.mkv", [k / 5 for k in range(50)], sound_s=14.8))
    assert index.end_s is None


def test_a_cover_is_no_video(tmp_path: Path, write_video: WriteVideo) -> None:
    picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
    for name, has_video in (("sound.mp4", False), ("both.mp4", True)):
        source, path = write_video("a.mp4", [k / 10 for k in range(30)], sound_s=3.0), tmp_path / name
        with av.open(str(source)) as whole, av.open(str(path), "w") as output:
            copied = [one for one in whole.streams if one.type == "audio" or has_video]
            to = {one.index: output.add_stream_from_template(one) for one in copied}
            cover = output.add_stream("mjpeg", rate=1)
            cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
            cover.disposition = Disposition.attached_pic
            for packet in whole.demux(copied):
                if packet.size:
                    packet.stream = to[packet.stream.index]
                    output.mux(packet)
            output.mux([*cover.encode(picture.reformat(format="yuvj420p")), *cover.encode(None)])
        if has_video:
            assert len(index_frames(path).pts) == 30
        else:
            with pytest.raises(UnreadableError, match="it has no video stream"):
                index_frames(path)


def test_a_name_in_latin_1_is_read(write_video: WriteVideo) -> None:
    path = write_video("a.mp4", [k / 10 for k in range(30)])
    named = path.rename(Path(os.fsdecode(os.fsencode(path.parent) + b"/caf\xe9.mp4")))
    index = index_frames(named)
    assert len(av_frames(index, [0, 9], as_is)) == 2
    with pytest.raises(UnreadableError, match="name is not UTF-8"):
        decord_frames(index, [0, 9], as_is)
    report = probe(named)
    assert report.ok and report.backend == "pyav" and report.path.endswith("caf\\xe9.mp4") and report.path.isprintable()
    with pytest.raises(VideoError, match=r"caf\\xe8\.mp4: no such file"):
        read_clip(named.with_name("caf\udce8.mp4"), FrameSettings(), side=28)


CASES = [  # of faults: how many frames, first, end, size, shown
    ("mp4_no_key_first.mp4", 90, 0.733, 6.733, (160, 120)),
    ("ts_one_packet_lost.ts", 120, 0.0, 8.0, (160, 120)),
    ("static_tail.mp4", 50, 0.0, 14.8, (96, 64)),
    ("video_after_audio.mp4", 55, 2.5, 6.234, (160, 120)),
    ("sar_2_1.mp4", 20, 0.0, 2.0, (320, 240)),
    ("mirror_h.mp4", 10, 0.0, 1.0, (320, 240)),
    ("interlaced.mp4", 25, 0.0, 1.0, (160, 120)),
]


@pytest.mark.parametrize(("name", "num", "start_s", "end_s", "size"), CASES)
def test_files_that_failed(
    name: str, num: int, start_s: float, end_s: float, size: tuple[int, int], shared: Path
) -> None:
    report = probe(shared / "faults" / name)
    assert (report.ok, report.num_frames, (report.width, report.height)) == (True, num, size)
    assert (report.start_s, report.duration_s) == pytest.approx((start_s, end_s), abs=1e-3)


def test_a_cover_that_failed(shared: Path) -> None:
    assert probe(shared / "faults" / "audio_with_cover.mp4").error == "it has no video stream"
