"""Frames of a video file, or of a segment of it, each with its true presentation time.

The choice of frames, their size, and the clip that results. Frames are resized once, here, to the size that the
vision tower reads; what reads the file is in ``decoders`` and does not show in the clip.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from tvg_lightning.data.containers import UnreadableError, readable
from tvg_lightning.data.decoders import FrameIndex, av_frames, decord_frames, index_frames, pixel_stretch
from tvg_lightning.data.frame_times import (
    STILL,
    TIE_S,
    are_near,
    are_told_right,
    first_pair_s,
    frames_within,
    nearest_frames,
    shown_until,
    spacing,
    standing_frames,
)
from tvg_lightning.schema import Span

TEMPORAL_PATCH = 2  # the vision tower reads frames in pairs
DecoderName = Literal["auto", "decord", "pyav"]

_DENSE = 4  # frames from one taken to the next up to which decord goes first; PyAV leaves out what lies between


class VideoError(ValueError):
    """A video that cannot be read, or a segment outside it; the message names the file and what to do."""


class SegmentError(VideoError):
    """Frames that cannot be had of a video that can be opened: other segments of it may be sound."""


@dataclass(frozen=True)
class FrameSettings:
    """Settings of the frames: which are taken, how large they become, and the decoder that reads them.

    ``fps`` frames a second, at least ``min_frames`` and at most ``max_frames``, spread over the whole video
    or segment; ``uniform_frames`` replaces all three by a fixed number (TVG-R1: 64).

    Sizes are in video tokens. A token covers side x side pixels of a frame, where side is the policy's (28 for
    Qwen2.5-VL, 32 for Qwen3-VL), and stands for these of two frames: the tower reads frames in pairs. A frame of
    rows * side x columns * side pixels has rows * columns tokens, which are also all tokens of its pair.
    ``min_tokens`` and ``max_tokens`` bound these. ``total_tokens`` bounds the video tokens of a prompt, the sum over
    its pairs; as in qwen-vl-utils, ``min_tokens`` goes before it. Time-R1: fps 2, min_tokens 16, total_tokens 3584.

    Args:
        fps: frames a second.
        max_frames: frames of a video, at most.
        min_frames: frames of a video, at least; those of a short one lie closer together.
        max_tokens: video tokens of a frame, at most; larger frames are made smaller.
        min_tokens: video tokens of a frame, at least; smaller frames are made larger.
        total_tokens: video tokens of a whole video, at most; min_tokens goes before it (default: no bound).
        uniform_frames: a fixed number of frames in place of fps, min_frames and max_frames (default: none).
        decoder: the reader of videos that is tried first; the other one comes after it, and the frames are the same.
            auto: decord where the frames lie close, PyAV where far apart.
    """

    fps: float = 2.0
    max_frames: int = 128
    min_frames: int = 2
    max_tokens: int = 128
    min_tokens: int = 1
    total_tokens: int | None = None
    uniform_frames: int | None = None
    decoder: DecoderName = "auto"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"frames.fps must be a positive number, got {self.fps}")
        counts = {"min_frames": self.min_frames, "max_frames": self.max_frames}
        if self.uniform_frames is not None:
            counts["uniform_frames"] = self.uniform_frames
        for key, count in counts.items():
            if count < TEMPORAL_PATCH or count % TEMPORAL_PATCH:
                raise ValueError(f"frames.{key} must be even and at least 2 (pairs of frames), got {count}")
        if self.min_frames > self.max_frames:
            raise ValueError(f"frames.min_frames, {self.min_frames}, is above frames.max_frames, {self.max_frames}")
        tokens = {"max_tokens": self.max_tokens, "min_tokens": self.min_tokens, "total_tokens": self.total_tokens}
        for key, limit in tokens.items():
            if limit is not None and limit < 1:
                raise ValueError(f"frames.{key} must be at least 1, got {limit}")
        if self.min_tokens > self.max_tokens:
            raise ValueError(f"frames.min_tokens, {self.min_tokens}, is above frames.max_tokens, {self.max_tokens}")
        if self.total_tokens is not None and self.total_tokens < self.min_tokens:
            raise ValueError(
                f"frames.total_tokens, {self.total_tokens}, is below frames.min_tokens, {self.min_tokens}, which one "
                "pair of frames needs"
            )
        if self.decoder not in get_args(DecoderName):
            raise ValueError(f"frames.decoder must be auto, decord or pyav, got {self.decoder}")

    def pixel_limits(self, num_frames: int, side: int) -> tuple[int, int]:
        """The fewest and the most pixels that each of ``num_frames`` gets, where a token covers side x side of them.

        The most: max_tokens, or the frame's share of the total, 2 * total_tokens / num_frames, if that is less, but
        at least 1.05 * min_tokens: qwen-vl-utils' rule, where the least size of a frame goes before the total.

        >>> [pixels / 28**2 for pixels in FrameSettings(total_tokens=3584, min_tokens=16).pixel_limits(128, side=28)]
        [16.0, 56.0]
        >>> [pixels / 32**2 for pixels in FrameSettings(total_tokens=3584, min_tokens=20).pixel_limits(1024, side=32)]
        [20.0, 21.0]
        """
        fewest, most = self.min_tokens * side**2, self.max_tokens * side**2
        if self.total_tokens is None:
            return fewest, most
        share = TEMPORAL_PATCH * self.total_tokens * side**2 // num_frames
        return fewest, min(most, max(share, fewest * 105 // 100))


@dataclass(frozen=True, slots=True, eq=False)
class VideoClip:
    """The frames that the policy sees, and their times.

    ``frames`` is uint8 (T,H,W,3), T even, H and W multiples of a token's side. ``times_s`` counts from the start of
    the segment, or of the file: at each of them its frame is on the screen, less than a step off an even
    rate of ``fps``. ``keep`` takes what a frozen vision tower makes of the frames, if that is kept for the next time.
    """

    frames: Tensor
    times_s: tuple[float, ...]
    fps: float
    backend: str
    keep: Callable[[Tensor], None] | None = None

    def __post_init__(self) -> None:
        assert self.frames.dtype == torch.uint8 and self.frames.ndim == 4 and self.frames.shape[3] == 3
        assert len(self.times_s) == len(self.frames) > 0 and len(self.frames) % TEMPORAL_PATCH == 0

    @property
    def seconds_per_grid(self) -> float:
        """Seconds from one pair of frames to the next: the time step of the rotary position ids."""
        return TEMPORAL_PATCH / self.fps

    @property
    def start_s(self) -> float:
        """Seconds from time zero to the first pair: where the rotary position ids begin."""
        return first_pair_s(self.times_s, self.seconds_per_grid)


class Sampling(NamedTuple):
    """Choice of frames, one of them maybe several times, with the times at which they are on the screen."""

    taken: list[int]
    times_s: list[float]
    fps: float


def sample_times(duration_s: float, settings: FrameSettings) -> list[float]:
    """The times to sample in a video of ``duration_s`` seconds: an even number of equal steps, the first at 0.

    n = uniform_frames, or fps * duration rounded to even within [min_frames, max_frames]; the k-th time is
    k * duration / n. Starting at 0 puts pair k at k * seconds_per_grid, which is what the position ids say.

    >>> sample_times(3.0, FrameSettings(fps=2.0))
    [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    >>> sample_times(100.0, FrameSettings(fps=2.0, max_frames=4))
    [0.0, 25.0, 50.0, 75.0]
    """
    if not (math.isfinite(duration_s) and duration_s > 0):
        raise ValueError(f"duration_s must be a positive number of seconds, got {duration_s}")
    num = settings.uniform_frames
    if num is None:
        wanted = TEMPORAL_PATCH * round(duration_s * settings.fps / TEMPORAL_PATCH)
        num = max(settings.min_frames, min(settings.max_frames, wanted))
    return [k * duration_s / num for k in range(num)]


def sample_frames(
    frame_times_s: Sequence[float], settings: FrameSettings, segment: Span | None = None, end_s: float | None = None
) -> Sampling:
    """Frames and times of a video, or of a segment of it by its own length; ``end_s`` as ``shown_until``.

    The frames nearest to the wanted times, none twice, where these come as evenly as the position ids tell. A segment
    gets only its own frames; if it holds fewer than two, the nearest outside are lent to it. A file whose own rate is
    below the one asked for gives every frame once. Else, as with variable rates, gaps and a still end, the frames that
    a player shows at the wanted times.
    """
    gap_s, is_even = spacing(frame_times_s, 1.0 / settings.fps)
    begin_s, stop_s = frame_times_s[0], shown_until(frame_times_s, gap_s, end_s)
    stands_still = stop_s > frame_times_s[-1] + STILL * gap_s
    start_s, origin_s = begin_s, 0.0
    if segment is not None:
        length_s, origin_s = stop_s, segment.start_s
        start_s, stop_s = max(segment.start_s, begin_s), min(segment.end_s, stop_s)
        if not start_s < stop_s:  # also refuses NaN
            late = f", whose pictures begin at {begin_s:.2f} s" if begin_s > 0 else ""
            raise SegmentError(f"{segment} is empty or outside the video's {length_s:.2f} s{late}; correct its times")
    wanted_s = [start_s + time_s for time_s in sample_times(stop_s - start_s, settings)]
    step_s = (stop_s - start_s) / len(wanted_s)
    first, last = frames_within(frame_times_s, start_s, stop_s)
    inside_s = frame_times_s[first:last]
    taken = [first + nearest for nearest in nearest_frames(wanted_s, inside_s)]
    if not is_even or stands_still:  # the segment may be even nevertheless, up to the frames around it
        local_gap_s, is_even = spacing(frame_times_s[max(first - 1, 0) : last + 1], gap_s)
        is_even = is_even and local_gap_s <= STILL * gap_s and not (stands_still and last == len(frame_times_s))
    taken = taken if len(taken) % TEMPORAL_PATCH == 0 else _with_filler(taken, first, last)
    times_s = [frame_times_s[frame] - origin_s for frame in taken]
    fps = sampled_fps(times_s, settings.fps)
    most_s = max(step_s / 2, STILL * gap_s) + TIE_S
    if is_even or (are_told_right(times_s, fps) and are_near(wanted_s, inside_s, most_s)):
        return Sampling(taken, times_s, fps)
    shown_s = [time_s - origin_s for time_s in wanted_s]
    return Sampling(standing_frames(wanted_s, frame_times_s), shown_s, 1.0 / step_s)


def _with_filler(taken: list[int], first: int, last: int) -> list[int]:
    """One frame more, in the middle of the widest gap: one not yet seen is better than one shown twice."""
    edges = [first - 1, *taken, last]
    before, after = max(pairwise(edges), key=lambda gap: gap[1] - gap[0])
    return sorted([*taken, (before + after) // 2]) if after - before > 1 else taken


def sampled_fps(times_s: Sequence[float], default_fps: float) -> float:
    """Rate of distinct frames by their times, (T-1) / (t_last - t_first); of one alone, ``default_fps``.

    >>> sampled_fps([0.0, 0.5, 1.0], default_fps=9.0)
    2.0
    """
    return (len(times_s) - 1) / (times_s[-1] - times_s[0]) if len(times_s) > 1 else default_fps


def smart_size(height: int, width: int, side: int, max_pixels: int, min_pixels: int = 0) -> tuple[int, int]:
    """(height, width) in multiples of ``side`` within ``max_pixels``, aspect kept: Qwen2-VL's rule.

    Both are rounded to the nearest multiple; if that is over budget, both are divided by
    sqrt(area / max_pixels) and rounded down; if below ``min_pixels``, multiplied by sqrt(min_pixels / area)
    and rounded up. A ribbon whose short side is one token loses length instead.

    >>> smart_size(240, 320, 28, 128 * 28 * 28)
    (252, 308)
    >>> smart_size(1080, 1920, 28, 128 * 28 * 28)
    (224, 420)
    >>> smart_size(1080, 1920, 32, 128 * 32 * 32)
    (256, 480)
    >>> smart_size(60, 80, 28, 128 * 28 * 28, min_pixels=16 * 28 * 28)
    (112, 140)
    """
    rows, columns = (max(1, round(length / side)) for length in (height, width))
    budget = max_pixels // side**2
    if rows * columns > budget:
        shrink = math.sqrt(height * width / max_pixels)
        rows, columns = (max(1, math.floor(length / shrink / side)) for length in (height, width))
    elif rows * columns * side**2 < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        rows, columns = (math.ceil(length * grow / side) for length in (height, width))
    if rows * columns > budget:
        rows, columns = min(rows, budget // columns or 1), min(columns, budget // rows or 1)
    return rows * side, columns * side


def resize_frames(
    frames: Tensor,
    side: int,
    max_pixels: int,
    min_pixels: int = 0,
    stretch: tuple[Fraction | int, Fraction | int] = (1, 1),
) -> Tensor:
    """uint8 (T,H,W,3) to the smart size: antialiased bicubic in torch's uint8 arithmetic, which rounds.

    ``stretch``: factors of height and width that make the pixels square.
    """
    height, width = (max(1, round(length * by)) for length, by in zip(frames.shape[1:3], stretch, strict=True))
    size = smart_size(height, width, side, max_pixels, min_pixels)
    if size == tuple(frames.shape[1:3]):
        return frames
    resized = F.interpolate(frames.permute(0, 3, 1, 2), size=size, mode="bicubic", antialias=True)
    return resized.permute(0, 2, 3, 1).contiguous()


def read_clip(path: str | Path, settings: FrameSettings, segment: Span | None = None, *, side: int) -> VideoClip:
    """The frames of a file, or of a ``segment`` of it (seconds from the file's start), or VideoError.

    ``side``: of a video token, in pixels; the policy says it.
    """
    return clip_of(open_video(path), settings, segment, side)


def open_video(path: str | Path) -> FrameIndex:
    """The list of a file's frames, or VideoError: then nothing of it can be read."""
    file = Path(path)
    try:
        if not file.is_file():
            raise VideoError(f"{readable(file)}: no such file; check the path and the data's video folder")
        return index_frames(file)
    except (UnreadableError, OSError) as error:  # OSError: a name too long, a folder that may not be entered
        raise VideoError(_cannot_be_read(file, error)) from error


def clip_of(index: FrameIndex, settings: FrameSettings, segment: Span | None, side: int) -> VideoClip:
    """The frames of an opened file, or of a ``segment`` of it, or SegmentError."""
    try:
        taken, times_s, fps = sample_frames(index.times_s, settings, segment, index.end_s)
        frames, backend = decode(index, taken, settings, side)
    except UnreadableError as error:
        raise SegmentError(_cannot_be_read(index.path, error)) from error
    except SegmentError as error:
        raise SegmentError(f"{readable(index.path)}: {error}") from error
    if len(frames) % TEMPORAL_PATCH:  # there is no other frame: show the last one twice
        frames, times_s = torch.cat([frames, frames[-1:]]), [*times_s, times_s[-1]]
    return VideoClip(frames, tuple(times_s), fps, backend)


def _cannot_be_read(file: Path, error: UnreadableError | OSError) -> str:
    return (
        f"{readable(file)}: cannot be read ({error}). Download it again, repair it with "
        f"`ffmpeg -i {readable(Path(file.name))} repaired.mp4`, "
        "or remove its samples from the data"
    )


def decode(index: FrameIndex, taken: list[int], settings: FrameSettings, side: int) -> tuple[Tensor, str]:
    """The frames, resized, and what read them: the one decoder, or the other where it gives up."""
    num_shown = len(taken) + len(taken) % TEMPORAL_PATCH  # of an odd number ``clip_of`` shows the last one twice
    min_pixels, max_pixels = settings.pixel_limits(num_shown, side)
    distinct = sorted(set(taken))
    stretch = pixel_stretch(index)
    resize = partial(resize_frames, side=side, max_pixels=max_pixels, min_pixels=min_pixels, stretch=stretch)
    decoders = [("decord", decord_frames), ("pyav", av_frames)]
    is_dense = distinct[-1] - distinct[0] <= _DENSE * (len(distinct) - 1)
    if settings.decoder == "pyav" or (settings.decoder == "auto" and not is_dense):
        decoders.reverse()
    reasons: list[str] = []
    for backend, frames_of in decoders:
        try:
            frames = frames_of(index, distinct, resize)
            return frames if distinct == taken else frames[[bisect_left(distinct, frame) for frame in taken]], backend
        except UnreadableError as error:
            reasons.append(f"{backend}: {error}")
    raise UnreadableError("; ".join(reasons))
