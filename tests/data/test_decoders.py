from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from tests.data.conftest import set_matrix
from tvg_lightning.data import decoders
from tvg_lightning.data.containers import UnreadableError
from tvg_lightning.data.decoders import av_frames, decord_frames, index_frames
from tvg_lightning.data.probing import probe
from tvg_lightning.data.video import FrameSettings, read_clip

WriteVideo = Callable[..., Path]


def as_is(frames: torch.Tensor) -> torch.Tensor:
    return frames


@pytest.mark.parametrize(
    ("name", "codec", "by_order", "exact_jumps"),
    [("a.mp4", "libx264", False, True), ("a.avi", "mpeg4", True, False), ("a.ts", "libx264", False, False)],
)
def test_the_index(name: str, codec: str, by_order: bool, exact_jumps: bool, write_video: WriteVideo) -> None:
    index = index_frames(write_video(name, [k / 10 for k in range(30)], codec))
    assert (index.by_order, index.exact_jumps) == (by_order, exact_jumps)
    assert index.times_s == pytest.approx([k / 10 for k in range(30)], abs=2e-3)


def test_a_file_that_ends_between_two_packets_is_cut(write_video: WriteVideo) -> None:
    path = write_video("a.mp4", [k / 10 for k in range(100)], container={"movflags": "faststart"})
    with av.open(str(path)) as container:
        ends = sorted(packet.pos + packet.size for packet in container.demux(video=0) if packet.size)
    assert len(index_frames(path).pts) == 100
    path.write_bytes(path.read_bytes()[: ends[49]])
    with pytest.raises(UnreadableError, match="cut short"):
        index_frames(path)


def test_a_file_without_its_last_bytes_is_cut(write_video: WriteVideo) -> None:
    path = write_video("a.mp4", [k / 10 for k in range(100)], container={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnreadableError, match="cut short"):
        index_frames(path)


@pytest.mark.parametrize("name", ["a.mkv", "a.webm"])
def test_a_cut_matroska_file_is_refused(name: str, write_video: WriteVideo) -> None:
    """Its header promises no length of the pictures, only one of the file."""
    path = write_video(name, [k / 10 for k in range(100)], "libvpx-vp9" if name == "a.webm" else "libx264")
    content = path.read_bytes()
    assert len(index_frames(path).pts) == 100
    for share in (0.4, 0.6, 0.8):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(UnreadableError, match="cut short"):
            index_frames(path)


@pytest.mark.parametrize("times_s", [[0.0], [0.0, 1.0], [1.5 + k / 10 for k in range(10)], [0.0, 0.1, 5.0]])
def test_a_short_or_late_matroska_file_is_whole(times_s: list[float], write_video: WriteVideo) -> None:
    assert len(index_frames(write_video("a.mkv", times_s)).pts) == len(times_s)


def test_sound_that_goes_on_after_the_pictures_is_no_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as output:
        pictures, sound = output.add_stream("libx264", rate=10), output.add_stream("pcm_s16le", rate=8000)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        for _ in range(10):
            picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            output.mux(pictures.encode(picture))
        output.mux(pictures.encode(None))
        for second in range(5):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
            silence.sample_rate, silence.pts = 8000, 8000 * second
            output.mux(sound.encode(silence))
    assert len(index_frames(path).pts) == 10


def test_a_picture_that_changes_its_size_is_refused(write_video: WriteVideo, monkeypatch: pytest.MonkeyPatch) -> None:
    index, upright = index_frames(write_video("a.mp4", [k / 10 for k in range(30)])), decoders.upright

    def grown(frame: Any, *others: Any) -> torch.Tensor:
        shown = upright(frame, *others)
        return shown if frame.pts < index.pts[20] else shown.repeat(2, 2, 1)

    monkeypatch.setattr(decoders, "upright", grown)
    assert len(av_frames(index, [0, 10], as_is)) == 2
    with pytest.raises(UnreadableError, match="changes size midway"):
        av_frames(index, [0, 25], as_is)


def test_absurd_times_are_refused(write_video: WriteVideo) -> None:
    with pytest.raises(UnreadableError, match=r"absurd frame times, up to 2e\+07 s"):
        index_frames(write_video("a.mkv", [0.0, 0.1, 2e7]))


def test_frames_at_one_time_are_refused(write_video: WriteVideo, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video("a.mp4", [k / 10 for k in range(30)])
    monkeypatch.setattr(decoders, "read_packets", lambda *_: [decoders.Packet(7, 7, 10**9, True, True)] * 30)
    monkeypatch.setattr(decoders, "_times_by_order", lambda *_: [7] * 30)
    with pytest.raises(UnreadableError, match="no frames with times of their own"):
        index_frames(path)


def test_decord_gives_way_where_its_jumps_miss(write_video: WriteVideo) -> None:
    index = index_frames(write_video("a.ts", [k / 10 for k in range(30)]))
    with pytest.raises(UnreadableError, match="jumps would miss"):
        decord_frames(index, [0], as_is)


def test_decord_gives_way_where_its_times_are_others(write_video: WriteVideo) -> None:
    index = index_frames(write_video("a.mp4", [k / 10 for k in range(30)]))
    index.times_s[7] += 0.05
    with pytest.raises(UnreadableError, match="times are not those"):
        decord_frames(index, [0], as_is)


def test_a_name_that_looks_like_a_protocol(write_video: WriteVideo, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video("a-0:0.mp4", [k / 10 for k in range(30)])
    monkeypatch.chdir(path.parent)
    index = index_frames(Path(path.name))
    assert torch.equal(decord_frames(index, [0, 9], as_is), av_frames(index, [0, 9], as_is))


def test_both_decode_the_same_frames(write_video: WriteVideo) -> None:
    index = index_frames(write_video("a.mp4", [k / 10 for k in range(100)]))
    taken = [0, 3, 11, 12, 13, 50, 51, 52, 53, 98, 99]  # more than one chunk, within and across groups
    assert torch.equal(decord_frames(index, taken, as_is), av_frames(index, taken, as_is))


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {}),
        ("a.mkv", "mpeg4", {"bf": "2"}),
        ("a.mp4", "mpeg4", {"bf": "2"}),
        ("a.ts", "mpeg4", {}),
        ("a.ts", "libx264", {}),
        ("a.webm", "libvpx-vp9", {}),
        ("a.mkv", "libx264", {"x264-params": "intra-refresh=1:keyint=12"}),
        ("a.mkv", "libx265", {"x265-params": "log-level=none:keyint=12:min-keyint=12:bframes=3:b-adapt=0"}),
    ],
)
def test_pyav_gives_the_same_frame_wherever_it_begins(
    name: str, codec: str, options: dict[str, str], write_video: WriteVideo
) -> None:
    index = index_frames(write_video(name, [k / 25 for k in range(60)], codec, options))
    whole = av_frames(index, range(60), as_is)
    for start in range(0, 60, 5):
        assert torch.equal(av_frames(index, [start, 59], as_is), whole[[start, 59]]), start


def test_both_decode_the_same_real_frames(shared: Path) -> None:
    index = index_frames(shared / "data" / "videos" / "decord" / "video_270.mov")
    assert torch.equal(decord_frames(index, [0, 2], as_is), av_frames(index, [0, 2], as_is))


def test_pyav_decodes_little_where_frames_lie_far_apart(
    write_video: WriteVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = index_frames(
        write_video("a.mp4", [k / 25 for k in range(240)], options={"x264-params": "b-adapt=0:bframes=2:scenecut=0"})
    )
    assert index.entries == index.pts[::12]  # groups of 12
    decode, decoded = decoders._decode, []

    def counted(*args: object) -> Iterator[tuple[int, Any]]:
        for key, frame in decode(*args):  # type: ignore[arg-type]
            decoded.append(key)
            yield key, frame

    monkeypatch.setattr(decoders, "_decode", counted)
    av_frames(index, [0, 100, 106, 239], as_is)
    # 0 alone; 96 to 106, of which the frames that none refers to are left out; 228 to 239 likewise
    assert decoded[0] == index.pts[0] and set(decoded) <= {index.pts[k] for k in (0, *range(96, 107), *range(228, 240))}
    assert len(decoded) < 1 + 11 + 12


SHAPES = [  # codec, pixel format, size, whether decord gives the same pixels
    ("libx264", "yuv420p", (64, 48), True),
    ("libx264", "yuv444p", (65, 49), True),
    ("libx264", "yuv420p10le", (64, 48), False),
    ("mpeg4", "yuv420p", (65, 48), True),
    ("mpeg4", "yuv420p", (64, 49), False),
    ("libx264", "interlaced", (64, 48), False),
]


@pytest.mark.parametrize(("codec", "kind", "size", "is_same"), SHAPES)
def test_decord_is_used_only_where_its_pixels_are_the_same(
    codec: str, kind: str, size: tuple[int, int], is_same: bool, write_video: WriteVideo
) -> None:
    options = {"x264-params": "interlaced=1"} if kind == "interlaced" else {}
    pix_fmt = "yuv420p" if kind == "interlaced" else kind
    times_s = [k / 10 for k in range(30)]
    index = index_frames(write_video("a.mp4", times_s, codec, options, size, pix_fmt=pix_fmt))
    if is_same:
        assert torch.equal(decord_frames(index, [0, 7, 29], as_is), av_frames(index, [0, 7, 29], as_is))
    else:
        with pytest.raises(UnreadableError, match="its frames would be others"):
            decord_frames(index, [0, 7, 29], as_is)


def test_pixels_that_are_not_square_are_shown_square(write_video: WriteVideo) -> None:
    options = {"x264-params": "sar=2/1"}
    path = write_video("a.mp4", [k / 10 for k in range(30)], options=options, size=(160, 240))
    report = probe(path)
    assert (report.width, report.height) == (320, 240)
    for decoder in ("decord", "pyav"):
        clip = read_clip(path, FrameSettings(decoder=decoder), side=28)  # type: ignore[arg-type]
        assert clip.backend == decoder and clip.frames.shape[1:3] == (252, 308)
    set_matrix(path, (0, 1, -1, 0))
    turned = probe(path)
    assert (turned.width, turned.height, turned.rotation) == (240, 320, 90)
    assert read_clip(path, FrameSettings(), side=28).frames.shape[1:3] == (308, 252)
