"""Frames of a video file, or of a segment of it, each with its true presentation time.

Which frames, how large, and the clip that results. Frames are resized once, here, to the size that the vision
tower sees; what reads the file is in ``decoders`` and does not show in the clip.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from tvg_lightning.data.decoders import UnreadableError, av_frames, decord_frames, index_frames
from tvg_lightning.schema import Span

TEMPORAL_PATCH = 2  # the vision tower reads frames in pairs
SIDE_FACTOR = 28  # 14 pixels a patch, 2 x 2 patches a language token
_TIE_S = 1e-6  # less than this apart is the same time: sums of thirds and sixtieths are not exact


class VideoError(ValueError):
    """A video that cannot be read, or a segment outside it; the message names the file and what to do."""


@dataclass(frozen=True)
class VideoSampling:
    """Which frames are taken and how large they become.

    ``fps`` frames a second, at least ``min_frames`` and at most ``max_frames``, spread over the whole video
    or segment; ``uniform_frames`` replaces all three by a fixed number (TVG-R1: 64). ``max_pixels`` is for
    each frame.
    """

    fps: float = 2.0
    max_frames: int = 128
    min_frames: int = 2
    max_pixels: int = 128 * SIDE_FACTOR * SIDE_FACTOR
    uniform_frames: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"sampling.fps must be a positive number, got {self.fps}")
        counts = {"min_frames": self.min_frames, "max_frames": self.max_frames}
        if self.uniform_frames is not None:
            counts["uniform_frames"] = self.uniform_frames
        for key, count in counts.items():
            if count < TEMPORAL_PATCH or count % TEMPORAL_PATCH:
                raise ValueError(f"sampling.{key} must be even and at least 2 (pairs of frames), got {count}")
        if self.min_frames > self.max_frames:
            raise ValueError(f"sampling.min_frames, {self.min_frames}, is above sampling.max_frames, {self.max_frames}")
        if self.max_pixels < SIDE_FACTOR**2:
            raise ValueError(f"sampling.max_pixels must be at least 784 (28 x 28), got {self.max_pixels}")


@dataclass(frozen=True, slots=True, eq=False)
class VideoClip:
    """The frames that the policy sees, and when they are.

    ``frames`` is uint8 (T,H,W,3), T even, both sides multiples of 28. ``times_s`` counts from the start of
    the segment, or from the file's first frame; ``fps`` is the rate of the frames taken, by their true times.
    """

    frames: Tensor
    times_s: tuple[float, ...]
    fps: float
    backend: str

    def __post_init__(self) -> None:
        assert self.frames.dtype == torch.uint8 and self.frames.ndim == 4 and self.frames.shape[3] == 3
        assert len(self.times_s) == len(self.frames) > 0 and len(self.frames) % TEMPORAL_PATCH == 0

    @property
    def seconds_per_grid(self) -> float:
        """Seconds from one pair of frames to the next: the time step of the rotary position ids."""
        return TEMPORAL_PATCH / self.fps


def sample_times(duration_s: float, sampling: VideoSampling) -> list[float]:
    """When to look at a video of ``duration_s`` seconds: an even number of equal steps, the first at 0.

    n = uniform_frames, or fps * duration rounded to even within [min_frames, max_frames]; the k-th time is
    k * duration / n. Starting at 0 puts pair k at k * seconds_per_grid, which is what the position ids say.

    >>> sample_times(3.0, VideoSampling(fps=2.0))
    [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    >>> sample_times(100.0, VideoSampling(fps=2.0, max_frames=4))
    [0.0, 25.0, 50.0, 75.0]
    """
    if not (math.isfinite(duration_s) and duration_s > 0):
        raise ValueError(f"duration_s must be a positive number of seconds, got {duration_s}")
    num = sampling.uniform_frames
    if num is None:
        wanted = TEMPORAL_PATCH * round(duration_s * sampling.fps / TEMPORAL_PATCH)
        num = max(sampling.min_frames, min(sampling.max_frames, wanted))
    return [k * duration_s / num for k in range(num)]


def nearest_frames(wanted_s: Sequence[float], frame_times_s: Sequence[float]) -> list[int]:
    """Indices of the frames nearest to the wanted times, ascending, none twice; a tie takes the earlier one.

    >>> nearest_frames([0.0, 0.5, 0.6, 1.1], [0.0, 1.0, 2.0])
    [0, 1]
    """
    taken = set()
    for time_s in wanted_s:
        after = min(bisect_left(frame_times_s, time_s), len(frame_times_s) - 1)
        before = max(after - 1, 0)
        is_after = frame_times_s[after] - time_s < time_s - frame_times_s[before] - _TIE_S
        taken.add(after if is_after else before)
    return sorted(taken)


def choose_frames(frame_times_s: Sequence[float], sampling: VideoSampling, segment: Span | None) -> list[int]:
    """Indices of the frames to take: an even number, unless all there are do not suffice for that.

    A segment is sampled by its own length and gets only its own frames; if it holds fewer than two, the
    nearest outside are lent to it. A file whose own rate is below the one asked for gives every frame once.
    """
    num = len(frame_times_s)
    mean_gap_s = (frame_times_s[-1] - frame_times_s[0]) / (num - 1) if num > 1 else 1.0 / sampling.fps
    start_s, stop_s = 0.0, frame_times_s[-1] + mean_gap_s  # the last frame is shown for a while, too
    if segment is not None:
        length_s, start_s, stop_s = stop_s, max(segment.start_s, 0.0), min(segment.end_s, stop_s)
        if not start_s < stop_s:  # also refuses NaN
            raise VideoError(f"{segment} is empty or outside the video's {length_s:.2f} s; correct its times")
    first, last = (bisect_left(frame_times_s, edge_s - _TIE_S) for edge_s in (start_s, stop_s))
    while last - first < min(TEMPORAL_PATCH, num):
        gap_before_s = start_s - frame_times_s[first - 1] if first > 0 else math.inf
        gap_after_s = frame_times_s[last] - stop_s if last < num else math.inf
        first, last = (first - 1, last) if gap_before_s <= gap_after_s else (first, last + 1)
    wanted_s = [start_s + time_s for time_s in sample_times(stop_s - start_s, sampling)]
    taken = [first + nearest for nearest in nearest_frames(wanted_s, frame_times_s[first:last])]
    return taken if len(taken) % TEMPORAL_PATCH == 0 else _with_filler(taken, first, last)


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


def smart_size(height: int, width: int, max_pixels: int) -> tuple[int, int]:
    """(height, width) in multiples of 28 within ``max_pixels``, aspect kept: Qwen2-VL's rule, no minimum.

    Each side is rounded to the nearest multiple; if that is over budget, both sides are divided by
    sqrt(area / max_pixels) and rounded down. A ribbon whose short side is at 28 loses length instead.

    >>> smart_size(240, 320, 128 * 28 * 28)
    (252, 308)
    >>> smart_size(1080, 1920, 128 * 28 * 28)
    (224, 420)
    """
    rows, columns = (max(1, round(side / SIDE_FACTOR)) for side in (height, width))
    budget = max_pixels // SIDE_FACTOR**2
    if rows * columns > budget:
        shrink = math.sqrt(height * width / max_pixels)
        rows, columns = (max(1, math.floor(side / shrink / SIDE_FACTOR)) for side in (height, width))
        rows, columns = min(rows, budget // columns or 1), min(columns, budget // rows or 1)
    return rows * SIDE_FACTOR, columns * SIDE_FACTOR


def resize_frames(frames: Tensor, max_pixels: int) -> Tensor:
    """uint8 (T,H,W,3) to the smart size: antialiased bicubic in torch's uint8 arithmetic, which rounds."""
    size = smart_size(frames.shape[1], frames.shape[2], max_pixels)
    if size == tuple(frames.shape[1:3]):
        return frames
    resized = F.interpolate(frames.permute(0, 3, 1, 2), size=size, mode="bicubic", antialias=True)
    return resized.permute(0, 2, 3, 1).contiguous()


def read_clip(path: str | Path, sampling: VideoSampling, segment: Span | None = None) -> VideoClip:
    """The frames of a file, or of a ``segment`` of it (seconds from its first frame), or VideoError."""
    file = Path(path)
    if not file.is_file():
        raise VideoError(f"{file}: no such file; check the path and the data's video folder")
    reasons: list[str] = []
    resize = partial(resize_frames, max_pixels=sampling.max_pixels)
    try:
        index = index_frames(file)
        taken = choose_frames(index.times_s, sampling, segment)
        origin_s = 0.0 if segment is None else segment.start_s
        times_s = [index.times_s[frame] - origin_s for frame in taken]
        for backend, frames_of in (("decord", decord_frames), ("pyav", av_frames)):
            try:
                return _clip(frames_of(index, taken, resize), times_s, sampling.fps, backend)
            except UnreadableError as error:
                reasons.append(f"{backend}: {error}")
    except UnreadableError as error:
        reasons.append(str(error))
    except VideoError as error:
        raise VideoError(f"{file}: {error}") from error
    raise VideoError(
        f"{file}: cannot be read ({'; '.join(reasons)}). Download it again, repair it with "
        f"`ffmpeg -i {file.name} repaired.mp4`, or remove its samples from the data"
    )


def _clip(frames: Tensor, times_s: list[float], default_fps: float, backend: str) -> VideoClip:
    fps = sampled_fps(times_s, default_fps)
    if len(frames) % TEMPORAL_PATCH:  # there is no other frame: show the last one twice
        frames, times_s = torch.cat([frames, frames[-1:]]), [*times_s, times_s[-1]]
    return VideoClip(frames, tuple(times_s), fps, backend)
