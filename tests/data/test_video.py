import math
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tvg_lightning.data.video import (
    DecoderName,
    FrameSettings,
    SegmentError,
    VideoClip,
    VideoError,
    read_clip,
    resize_frames,
    sample_frames,
    sample_times,
    sampled_fps,
    smart_size,
)
from tvg_lightning.policy.families.qwen2_5_vl import video_position_ids
from tvg_lightning.schema import Span

TWO_FPS = FrameSettings()
Shown = Callable[[torch.Tensor], list[int]]
WriteVideo = Callable[..., Path]


def test_settings_name_the_key_that_is_wrong() -> None:
    for key, value in [
        ("fps", 0.0),
        ("fps", math.nan),
        ("max_frames", 7),
        ("min_frames", 0),
        ("uniform_frames", 3),
        ("max_tokens", 0),
        ("min_tokens", 0),
        ("total_tokens", 0),
        ("decoder", "ffmpeg"),
    ]:
        with pytest.raises(ValueError, match=f"frames.{key}"):
            FrameSettings(**{key: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"above frames\.max_frames"):
        FrameSettings(min_frames=8, max_frames=4)
    with pytest.raises(ValueError, match=r"frames\.min_tokens, 3, is above frames\.max_tokens, 2$"):
        FrameSettings(min_tokens=3, max_tokens=2)
    with pytest.raises(ValueError, match=r"frames\.total_tokens, 15, is below frames\.min_tokens, 16, which one pair"):
        FrameSettings(min_tokens=16, total_tokens=15)


def test_sample_times_by_hand() -> None:
    assert sample_times(3.0, TWO_FPS) == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert sample_times(0.1, TWO_FPS) == [0.0, 0.05]  # at least min_frames
    assert len(sample_times(1000.0, TWO_FPS)) == 128
    assert len(sample_times(10.3, TWO_FPS)) == 20  # 20.6 rounds to the even 20
    assert sample_times(8.0, FrameSettings(uniform_frames=4, max_frames=2)) == [0.0, 2.0, 4.0, 6.0]
    for bad in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="duration_s"):
            sample_times(bad, TWO_FPS)


def test_whole_video_of_a_regular_rate() -> None:
    assert sample_frames([k / 30 for k in range(90)], TWO_FPS, None).taken == [0, 15, 30, 45, 60, 75]


def test_a_slow_file_gives_every_frame_once() -> None:
    assert sample_frames([0.0, 1.0, 2.0, 3.0], TWO_FPS, None).taken == [0, 1, 2, 3]
    assert sample_frames([0.0, 1.0, 2.0], TWO_FPS, None).taken == [0, 1, 2]  # odd: the reader repeats the last one


def test_a_frame_stands_until_the_next_one() -> None:
    times_s = [0.0, 0.01, 0.02, 0.03, 3.0, 6.0]  # the last of the four stands for 3 s, and so does the next
    shown = sample_frames(times_s, FrameSettings(fps=1.0), None, end_s=8.0)
    assert shown.taken == [0, 3, 3, 4, 4, 4, 5, 5]
    assert shown.times_s == [float(k) for k in range(8)] and shown.fps == 1.0


def test_a_still_end_is_shown_to_its_end() -> None:
    """Five frames a second, of which the last stands for 3 s: by its segment the even part is as it would be alone."""
    fifths = [k / 5 for k in range(25)]
    assert sample_frames(fifths, TWO_FPS).taken == [0, 2, 5, 7, 10, 12, 15, 17, 20, 22]
    still = sample_frames(fifths, TWO_FPS, end_s=7.8)
    assert still.taken[-6:] == [24] * 6 and still.times_s[-1] == pytest.approx(7.8 - 1 / still.fps)
    assert sample_frames(fifths, TWO_FPS, Span(6.0, 7.0), 7.8) == ([24, 24], [0.0, 0.5], 2.0)
    assert sample_frames(fifths, TWO_FPS, Span(1.0, 2.0), 7.8) == sample_frames(fifths, TWO_FPS, Span(1.0, 2.0))
    with pytest.raises(SegmentError, match=r"outside the video's 7\.80 s"):
        sample_frames(fifths, TWO_FPS, Span(8.0, 9.0), 7.8)


def test_one_frame_that_stands_for_long() -> None:
    assert sample_frames([0.0], FrameSettings(fps=1.0), end_s=4.0) == ([0, 0, 0, 0], [0.0, 1.0, 2.0, 3.0], 1.0)


def test_a_video_that_begins_late() -> None:
    late = [2.5 + k / 10 for k in range(40)]
    whole = sample_frames(late, TWO_FPS)
    assert whole.taken == [0, 5, 10, 15, 20, 25, 30, 35] and whole.times_s[0] == 2.5
    assert sample_frames(late, TWO_FPS, Span(1.0, 3.5)).times_s == pytest.approx([1.5, 2.0])
    with pytest.raises(SegmentError, match=r"video's 6\.50 s, whose pictures begin at 2\.50 s"):
        sample_frames(late, TWO_FPS, Span(0.5, 2.0))


@given(
    gaps=st.lists(st.floats(0.001, 6.0), min_size=1, max_size=80),
    still_s=st.floats(0.02, 20.0),
    begin_s=st.sampled_from([0.0, 3.0]),
    fps=st.floats(0.2, 10.0),
    edges=st.none() | st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)),
)
def test_times_are_told_as_they_are(
    gaps: list[float], still_s: float, begin_s: float, fps: float, edges: tuple[float, float] | None
) -> None:
    """Each frame is on the screen at its time, and the position of each pair is no more than half a step from it."""
    frame_times_s = [begin_s + sum(gaps[:k]) for k in range(len(gaps) + 1)]
    end_s, segment = frame_times_s[-1] + still_s, None
    if edges is not None and end_s - 0.01 > min(edges) * end_s > begin_s and max(edges) - min(edges) > 0.01:
        segment = Span(min(edges) * end_s, max(edges) * end_s)
    taken, times_s, rate = sample_frames(frame_times_s, FrameSettings(fps=fps), segment, end_s)
    origin_s = 0.0 if segment is None else segment.start_s
    ends_s = [*frame_times_s[1:], math.inf]
    for frame, time_s in zip(taken, times_s, strict=True):
        assert frame_times_s[frame] - 1e-5 <= time_s + origin_s < ends_s[frame]
    times_s = times_s if len(times_s) % 2 == 0 else [*times_s, times_s[-1]]
    clip = VideoClip(torch.zeros(len(times_s), 28, 28, 3, dtype=torch.uint8), tuple(times_s), rate, "by hand")
    for per_second in (2, 1000):  # as in the checkpoints; and without the rounding
        told = video_position_ids((len(times_s) // 2, 2, 2), clip.seconds_per_grid, per_second, clip.start_s)[0]
        for index, time_s in zip(told.tolist(), times_s[::2], strict=True):
            if time_s < 0 and len(times_s) == 2:
                continue  # lent to a segment between two frames of an even rate
            assert index / per_second - time_s <= clip.seconds_per_grid / 2 + 5e-3
            assert time_s - index / per_second <= clip.seconds_per_grid / 2 + 1 / per_second + 5e-3


def test_a_segment_gets_its_own_frames_at_its_own_rate() -> None:
    tenths = [k / 10 for k in range(100)]
    assert sample_frames(tenths, TWO_FPS, Span(3.0, 5.0)).taken == [30, 35, 40, 45]
    assert sample_frames(tenths, TWO_FPS, Span(9.0, 99.0)).taken == [90, 95]  # ends with the video
    assert sample_frames(tenths, TWO_FPS, Span(-0.2, 1.0)).taken == [0, 5]


def test_a_segment_between_two_frames_gets_the_nearest_two() -> None:
    seconds = [float(k) for k in range(10)]
    assert sample_frames(seconds, TWO_FPS, Span(3.2, 3.4)).taken == [3, 4]
    assert sample_frames(seconds, TWO_FPS, Span(9.5, 9.9)).taken == [8, 9]
    assert sample_frames(seconds, TWO_FPS, Span(2.9, 3.1)).taken == [2, 3]


@pytest.mark.parametrize("segment", [Span(5.0, 5.0), Span(6.0, 5.0), Span(10.5, 12.0), Span(math.nan, 5.0)])
def test_a_segment_that_is_not_there_is_refused(segment: Span) -> None:
    with pytest.raises(VideoError, match=r"outside the video's 10\.00 s"):
        sample_frames([float(k) for k in range(10)], TWO_FPS, segment)


@given(
    gaps=st.lists(st.floats(0.001, 3.0), min_size=1, max_size=80),
    fps=st.floats(0.2, 10.0),
    edges=st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)),
)
def test_chosen_frames_are_even_ascending_and_inside(gaps: list[float], fps: float, edges: tuple[float, float]) -> None:
    times_s = [sum(gaps[:k]) for k in range(len(gaps) + 1)]
    low, high = min(edges) * times_s[-1], max(edges) * times_s[-1]
    segment = Span(low, high) if low < high else None
    taken = sample_frames(times_s, FrameSettings(fps=fps), segment).taken
    inside = [k for k, t in enumerate(times_s) if segment is None or low - 1e-6 <= t < high - 1e-6]
    assert taken == sorted(taken) and taken[0] >= 0 and taken[-1] < len(times_s)
    assert len(taken) % 2 == 0 or taken == inside  # odd only where nothing is left to add
    assert len(taken) >= 2
    if len(inside) >= 2:
        assert set(taken) <= {*inside, inside[0] - 1}  # the one before may still be on the screen


def test_rate_by_true_times() -> None:
    assert sampled_fps([0.0, 0.5, 1.5], 9.0) == 2 / 1.5
    assert sampled_fps([7.0], 2.0) == 2.0
    clip = VideoClip(torch.zeros(2, 28, 28, 3, dtype=torch.uint8), (0.0, 0.5), 2.0, "by hand")
    assert clip.seconds_per_grid == 1.0


def test_smart_size_by_hand() -> None:
    budget = 128 * 784
    assert smart_size(28, 28, 28, budget) == (28, 28)
    assert smart_size(1, 1, 28, budget) == (28, 28)
    assert smart_size(42, 14, 28, budget) == (56, 28)  # 1.5 rounds to the even 2, 0.5 to 0 and up to 1
    # 480 x 640: beta = sqrt(307200 / 100352) = 1.7496; 480 / beta / 28 = 9.79, 640 / beta / 28 = 13.06
    assert smart_size(480, 640, 28, budget) == (252, 364)
    assert smart_size(10, 100000, 28, budget) == (28, 3584)  # 128 tokens in one row
    # the same with tokens of 32 x 32, 128 * 1024 pixels: beta = 1.5309; 480 / beta / 32 = 9.80, 640 / beta / 32 = 13.06
    assert smart_size(480, 640, 32, 128 * 1024) == (9 * 32, 13 * 32)
    assert smart_size(32, 50, 32, 128 * 1024, 4 * 1024) == (64, 96)  # grown by 1.6: 51.2 and 80, rounded up


@given(
    height=st.integers(1, 4000), width=st.integers(1, 4000), tokens=st.integers(1, 2000), side=st.sampled_from([28, 32])
)
def test_smart_size_is_a_multiple_within_budget(height: int, width: int, tokens: int, side: int) -> None:
    rows, columns = smart_size(height, width, side, tokens * side**2)
    assert rows % side == columns % side == 0 and min(rows, columns) >= side and rows * columns <= tokens * side**2


@settings(deadline=None)  # the first call imports transformers
@given(
    height=st.integers(64, 2000),
    width=st.integers(64, 2000),
    tokens=st.integers(64, 768),
    side=st.sampled_from([28, 32]),
)
def test_smart_size_is_that_of_transformers(height: int, width: int, tokens: int, side: int) -> None:
    theirs = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl").smart_resize
    rows, columns = theirs(height, width, factor=side, min_pixels=side**2, max_pixels=tokens * side**2)
    if rows * columns <= tokens * side**2:  # theirs leaves the budget for ribbons
        assert smart_size(height, width, side, tokens * side**2) == (rows, columns)


@settings(deadline=None)
@given(
    height=st.integers(17, 400), width=st.integers(17, 400), tokens=st.integers(2, 64), side=st.sampled_from([28, 32])
)
def test_small_frames_grow_as_in_transformers(height: int, width: int, tokens: int, side: int) -> None:
    theirs = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl").smart_resize
    rows, columns = theirs(height, width, side, tokens * side**2, 768 * side**2)
    assert smart_size(height, width, side, 768 * side**2, tokens * side**2) == (rows, columns)


def test_a_video_shares_its_tokens_among_its_frames(write_video: WriteVideo) -> None:
    time_r1 = FrameSettings(max_frames=768, max_tokens=768, min_tokens=16, total_tokens=3584)
    for area in (28 * 28, 32 * 32):
        side = math.isqrt(area)
        # pairs of frames count once, as in qwen-vl-utils: 3584 tokens over 32 pairs are 112 a pair
        assert time_r1.pixel_limits(64, side) == (16 * area, 112 * area)
        assert time_r1.pixel_limits(2, side)[1] == 768 * area  # no more than a frame may have
        # no less than 1.05 of the least, even over the total; and 1024 frames would have 7 tokens each
        assert time_r1.pixel_limits(768, side)[1] == time_r1.pixel_limits(1024, side)[1] == 16 * area * 105 // 100
    assert FrameSettings().pixel_limits(64, 28) == (784, 128 * 784)
    path = write_video("long.mp4", [k / 10 for k in range(200)], size=(640, 480))
    clip = read_clip(path, FrameSettings(total_tokens=200), side=28)
    assert len(clip.frames) == 40 and clip.frames.shape[1:3] == (56, 84)  # 200 / 20 pairs = 10 tokens: 2 x 3
    clip = read_clip(path, FrameSettings(total_tokens=200), side=32)
    assert len(clip.frames) == 40 and clip.frames.shape[1:3] == (64, 96)  # as many tokens, of other pixels


def test_a_frame_that_is_shown_twice_has_its_share_of_the_tokens(write_video: WriteVideo) -> None:
    """Of three frames the last makes two pairs, which have 10 tokens each of 20; a third each would be 13, and 26."""
    clip = read_clip(write_video("slow.mp4", [0.0, 1.0, 2.0], size=(640, 480)), FrameSettings(total_tokens=20), side=28)
    assert len(clip.frames) == 4 and torch.equal(clip.frames[2], clip.frames[3])
    assert clip.frames.shape[1:3] == (56, 84)  # 2 x 3 tokens


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_the_decoder_does_not_change_the_frames(name: str, write_video: WriteVideo) -> None:
    path = write_video(name, [k / 25 for k in range(100)], "libx264", {"bf": "3"})
    for uniform_frames in (2, 8, 50):
        by = [
            read_clip(path, FrameSettings(uniform_frames=uniform_frames, decoder=d), side=28)
            for d in ("decord", "pyav")
        ]
        assert [clip.backend for clip in by] == ["decord", "pyav"] and torch.equal(by[0].frames, by[1].frames)


def test_resizing_is_antialiased_and_leaves_the_right_size_alone() -> None:
    stripes = torch.zeros(1, 560, 560, 3, dtype=torch.uint8)
    stripes[:, :, ::4] = 255  # their mean is 64 everywhere; the nearest few pixels give other numbers
    small = resize_frames(stripes, 28, 56 * 56)
    assert small.shape == (1, 56, 56, 3) and small.dtype == torch.uint8
    assert (small[:, 5:-5, 5:-5].int() - 64).abs().max() <= 2
    assert resize_frames(small, 28, 56 * 56) is small


@pytest.mark.parametrize("rate", [3.0, 10.0, 25.0, 30.0])
def test_a_constant_rate(rate: float, write_video: WriteVideo, shown: Shown) -> None:
    clip = read_clip(write_video("a.mp4", [k / rate for k in range(60)]), TWO_FPS, side=28)
    numbers = shown(clip.frames)
    assert clip.backend == ("decord" if rate < 10 else "pyav")  # nearly every frame; every 5th, 12th, 15th
    assert clip.frames.shape[1:] == (56, 56, 3) and len(numbers) % 2 == 0
    # Each frame is the one whose time is claimed for it (times in ms), and near the wanted one.
    assert clip.times_s == pytest.approx([number / rate for number in numbers], abs=2e-3)
    assert clip.times_s == pytest.approx(sample_times(60 / rate, TWO_FPS), abs=0.5 / rate + 2e-3)
    assert clip.fps == pytest.approx((len(numbers) - 1) / (clip.times_s[-1] - clip.times_s[0]))


def test_a_variable_rate_is_seen_as_a_player_shows_it(write_video: WriteVideo, shown: Shown) -> None:
    times_s = [0.0, 0.1, 0.2, 0.3, 2.0, 4.0, 4.1, 4.2, 6.0]
    clip = read_clip(write_video("vfr.mp4", times_s), FrameSettings(fps=1.0), side=28)
    assert shown(clip.frames) == [0, 3, 4, 4, 5, 7]
    assert clip.times_s == pytest.approx([0, 1, 2, 3, 4, 5], abs=0.1)


def test_a_gap_at_the_start_of_a_segment_is_shown() -> None:
    """The frame of 9.9 s stands from 19 to 30.2 s; two frames as far from a segment as each other are not in it."""
    times_s = [k / 10 for k in range(100)] + [30.2 + k / 10 for k in range(97)]
    shown = sample_frames(times_s, TWO_FPS, Span(19.0, 30.5))
    assert shown.taken == [99] * 24 and shown.times_s[-1] == pytest.approx(11.5 * 23 / 24)
    times_s = [0.0, 0.1, 0.2, 10.2, 10.3, 10.4]
    assert sample_frames(times_s, TWO_FPS, Span(5.0, 5.4)).taken == [2, 2]


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
@pytest.mark.parametrize("name", ["screen.mp4", "screen.mkv"])
def test_a_screen_that_stands_still_is_told_right(
    name: str, decoder: DecoderName, write_video: WriteVideo, shown: Shown
) -> None:
    """Ten frames a second for 10 s, none for 20 s, ten a second for 10 s: as screen recorders write."""
    times_s = [k / 10 for k in range(100)] + [30.2 + k / 10 for k in range(97)]
    clip = read_clip(write_video(name, times_s), FrameSettings(decoder=decoder), side=28)
    numbers = shown(clip.frames)
    told = video_position_ids((len(numbers) // 2, 2, 2), clip.seconds_per_grid, 2, clip.start_s)[0] / 2
    assert clip.backend == decoder and numbers[-1] >= 190 and numbers.count(99) in (40, 41)
    for k, number in enumerate(numbers):
        assert times_s[number] - 2e-3 <= clip.times_s[k] <= (*times_s[1:], 40.0)[number] + 2e-3
        assert abs(told[k // 2] - clip.times_s[k]) <= 1.0
    part = read_clip(write_video(name, times_s), FrameSettings(decoder=decoder), Span(15.0, 25.0), side=28)
    assert shown(part.frames) == [99] * 20 and part.times_s == pytest.approx([k / 2 for k in range(20)])


def test_a_screencast(shared: Path) -> None:
    clip = read_clip(shared / "faults" / "vfr_screencast.mp4", TWO_FPS, side=28)
    told = video_position_ids((len(clip.frames) // 2, 2, 2), clip.seconds_per_grid, 2, clip.start_s)[0] / 2
    assert told.tolist() == pytest.approx(list(clip.times_s[::2]), abs=0.51) and clip.times_s[-1] > 39


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.ts"])
def test_time_starts_at_the_first_frame(name: str, write_video: WriteVideo, shown: Shown) -> None:
    clip = read_clip(write_video(name, [1.5 + k / 10 for k in range(50)]), TWO_FPS, side=28)
    assert shown(clip.frames) == list(range(0, 50, 5))
    assert clip.times_s == pytest.approx([k / 2 for k in range(10)], abs=1e-3)
    assert clip.fps == pytest.approx(2.0, abs=1e-3)


OPEN = {"x264-params": "open-gop=1:bframes=3:b-adapt=0:keyint=12:min-keyint=12:scenecut=0"}
REFRESH = {"x264-params": "intra-refresh=1:keyint=12:bframes=0"}
OPEN_HEVC = {"x265-params": "log-level=none:bframes=3:b-adapt=0:keyint=12:min-keyint=12:scenecut=0"}


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("open.mp4", "libx264", OPEN),
        ("open.mkv", "libx264", OPEN),
        ("refresh.mp4", "libx264", REFRESH),
        ("open_hevc.mp4", "libx265", OPEN_HEVC),
        ("broadcast.ts", "libx264", {}),
        ("broadcast2.ts", "mpeg4", {}),
        ("old.avi", "mpeg4", {}),
        ("h264.avi", "libx264", {}),
    ],
)
def test_frames_are_those_asked_for_where_decord_would_miss(
    name: str, codec: str, options: dict[str, str], write_video: WriteVideo, shown: Shown
) -> None:
    path = write_video(name, [k / 25 for k in range(100)], codec, options)
    whole = read_clip(path, TWO_FPS, side=28)
    assert whole.backend == "pyav"
    assert shown(whole.frames) == [0, 12, 25, 37, 50, 62, 75, 87]
    segment = read_clip(path, TWO_FPS, Span(2.0, 3.0), side=28)
    assert shown(segment.frames) == [50, 62]
    assert segment.times_s == pytest.approx([0.0, 0.48], abs=2e-3)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_segment_counts_from_its_own_start(name: str, write_video: WriteVideo, shown: Shown) -> None:
    path = write_video(name, [k / 10 for k in range(100)])
    clip = read_clip(path, TWO_FPS, Span(2.95, 5.0), side=28)
    assert clip.backend == "pyav" and shown(clip.frames) == [30, 35, 40, 45]
    assert clip.times_s == pytest.approx([0.05, 0.55, 1.05, 1.55], abs=1e-3)
    short = read_clip(path, TWO_FPS, Span(4.01, 4.02), side=28)
    assert shown(short.frames) == [40, 41] and short.times_s == pytest.approx([-0.01, 0.09], abs=1e-3)
    with pytest.raises(VideoError, match=name + r": Span\(start_s=30"):
        read_clip(path, TWO_FPS, Span(30.0, 40.0), side=28)


def test_one_frame_is_shown_twice(write_video: WriteVideo) -> None:
    clip = read_clip(write_video("one.mp4", [0.0]), TWO_FPS, side=28)
    assert clip.times_s == (0.0, 0.0) and clip.fps == 2.0 and torch.equal(clip.frames[0], clip.frames[1])


@pytest.mark.parametrize("name", ["turned.mp4", "turned_open.mp4"])
@pytest.mark.parametrize(("degrees", "corner"), [(90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))])
def test_rotation_is_applied_by_both(name: str, degrees: int, corner: tuple[int, int], write_video: WriteVideo) -> None:
    options = OPEN if "open" in name else {}
    path = write_video(name, [k / 10 for k in range(30)], "libx264", options, (112, 56), rotation=degrees)
    clip = read_clip(path, FrameSettings(decoder="decord"), side=28)
    assert clip.backend == ("pyav" if options else "decord")
    assert clip.frames.shape[1:3] == ((56, 112) if degrees == 180 else (112, 56))
    first = clip.frames[0].float().mean(2)
    corners = {(y, x): first[y, x].item() for y in (0, -1) for x in (0, -1)}
    assert max(corners, key=lambda at: corners[at]) == corner and corners[corner] > 200


def test_a_file_cut_short_is_refused_wherever_the_cut_is(write_video: WriteVideo) -> None:
    path = write_video("cut.mp4", [k / 10 for k in range(100)], container={"movflags": "faststart"})
    content = path.read_bytes()
    for share in (0.02, 0.07, 0.3, 0.6, 0.95):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(VideoError, match=r"cut\.mp4: cannot be read .* Download it again"):
            read_clip(path, TWO_FPS, side=28)


def test_a_file_that_cannot_be_asked_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name longer than any may be; a file that is gone between two looks."""
    with pytest.raises(VideoError, match=r"cannot be read .*too long"):
        read_clip(tmp_path / f"{'x' * 300}.mp4", TWO_FPS, side=28)
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    with pytest.raises(VideoError, match=r"absent\.mp4: cannot be read"):
        read_clip(tmp_path / "absent.mp4", TWO_FPS, side=28)


def test_damage_inside_is_refused(write_video: WriteVideo) -> None:
    path = write_video("hurt.mp4", [k / 10 for k in range(100)], container={"movflags": "faststart"})
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4 :] = b"\xff" * (len(content) - len(content) * 3 // 4)
    path.write_bytes(bytes(content))
    with pytest.raises(SegmentError, match=r"hurt\.mp4: cannot be read \(pyav: .*; decord: "):
        read_clip(path, TWO_FPS, side=28)
    assert len(read_clip(path, TWO_FPS, Span(0.0, 2.0), side=28).times_s) == 4, "what lies before it can be read"


@pytest.mark.parametrize("content", [b"", b"not a video\n" * 50])
def test_what_is_not_a_video_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=r"text\.mp4: cannot be read"):
        read_clip(path, TWO_FPS, side=28)
    with pytest.raises(VideoError, match="no such file"):
        read_clip(tmp_path / "absent.mp4", TWO_FPS, side=28)


# name, backend, number of frames at 2 fps, (height, width), seconds from the first to the last frame taken
REAL = [
    ("tvg_benchmark_clips/3MSZA.mp4", "decord", 62, (224, 420), 30.5),
    ("tvg_benchmark_clips/v_TpB_zMG3XBA.mp4", "decord", 128, (224, 392), 162.333),
    ("decord/flipping_a_pancake.mkv", "decord", 20, (224, 420), 9.833),
    ("decord/video_90.mov", "decord", 2, (420, 224), 0.033),
    ("moviepy/no_duration.webm", "pyav", 10, (224, 420), 4.474),
    ("moviepy/bitmap.mp4", "pyav", 6, (28, 28), 4.0),
    ("torchcodec/av1_video.mkv", "pyav", 10, (224, 420), 4.48),
    ("torchcodec/nasa_13013.mp4", "decord", 26, (224, 420), 12.513),
    ("torchvision/RATRACE_wave_f_nm_np1_fr_goo_37.avi", "pyav", 4, (196, 476), 1.8),
    ("torchvision/hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi", "pyav", 6, (252, 308), 2.3),
]


@pytest.mark.parametrize(("name", "backend", "num", "size", "length_s"), REAL)
def test_real_files(name: str, backend: str, num: int, size: tuple[int, int], length_s: float, shared: Path) -> None:
    clip = read_clip(shared / "data" / "videos" / name, FrameSettings(decoder="decord"), side=28)
    assert (clip.backend, tuple(clip.frames.shape)) == (backend, (num, *size, 3))
    assert clip.times_s[-1] - clip.times_s[0] == pytest.approx(length_s, abs=1e-3)
    steps_s = [after - before for before, after in zip(clip.times_s, clip.times_s[1:], strict=False)]
    assert all(step_s > 0 for step_s in steps_s) or name == "moviepy/bitmap.mp4"  # five frames, the last twice


@pytest.mark.parametrize("name", ["decord/corrupted.mp4", "moviepy/result.webm"])
def test_real_files_that_are_broken(name: str, shared: Path) -> None:
    with pytest.raises(VideoError, match="cannot be read"):
        read_clip(shared / "data" / "videos" / name, TWO_FPS, side=28)


def test_the_overlay_leaves_no_key_to_the_recipe() -> None:
    """What it does not set would stay the recipe's: TVG-R1's 64 frames, Time-R1's tokens of a whole video."""
    overlay = Path(__file__).resolve().parents[2] / "configs" / "data" / "qwen_2fps.yaml"
    keys = yaml.safe_load(overlay.read_text(encoding="utf-8"))["data"]["frames"]
    assert keys.keys() == {field.name for field in fields(FrameSettings)} and FrameSettings(**keys) == FrameSettings()
