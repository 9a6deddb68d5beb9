"""Times of frames: which is nearest, which is on the screen, whether they come evenly, how long the last one stays."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import torch

STILL = 1.5  # times the usual time on the screen: a frame that stays longer stands still
_CLOCK_S = 2e-3  # clocks of thousandths round the times of an even rate by less
TIE_S = 1e-6  # less than this apart is the same time: sums of thirds and sixtieths are not exact


def nearest_frames(wanted_s: Sequence[float], frame_times_s: Sequence[float]) -> list[int]:
    """Indices of the frames nearest to the wanted times, ascending, none twice; a tie takes the earlier one.

    >>> nearest_frames([0.0, 0.5, 0.6, 1.1], [0.0, 1.0, 2.0])
    [0, 1]
    """
    taken = set()
    for time_s in wanted_s:
        after = min(bisect_left(frame_times_s, time_s), len(frame_times_s) - 1)
        before = max(after - 1, 0)
        is_after = frame_times_s[after] - time_s < time_s - frame_times_s[before] - TIE_S
        taken.add(after if is_after else before)
    return sorted(taken)


def standing_frames(wanted_s: Sequence[float], frame_times_s: Sequence[float]) -> list[int]:
    """Indices of the frames that a player shows at the wanted times, each as often as it is still there.

    >>> standing_frames([0.0, 0.5, 1.0, 1.5], [0.0, 1.0, 2.0])
    [0, 0, 1, 1]
    """
    return [max(bisect_right(frame_times_s, time_s + TIE_S) - 1, 0) for time_s in wanted_s]


def spacing(frame_times_s: Sequence[float], default_s: float) -> tuple[float, bool]:
    """The usual time from frame to frame, and whether it is always the same but for the rounding of the clock.

    The mean; where a few long gaps make that large, the median; of one frame alone, ``default_s``.
    """
    num = len(frame_times_s)
    if num < 2:
        return default_s, True
    mean_s = (frame_times_s[-1] - frame_times_s[0]) / (num - 1)
    times_N = torch.tensor(frame_times_s, dtype=torch.float64)
    off_N = times_N - times_N[0] - mean_s * torch.arange(num)
    median_s = float(times_N.diff().median())
    return (mean_s if mean_s <= STILL * median_s else median_s), bool(off_N.abs().max() <= _CLOCK_S)


def shown_until(frame_times_s: Sequence[float], gap_s: float, end_s: float | None) -> float:
    """The time at which the last frame leaves the screen: ``end_s``, by the file, where it stands longer than usual.

    >>> shown_until([0.0, 1.0], 1.0, None), shown_until([0.0, 1.0], 1.0, 1.9), shown_until([0.0, 1.0], 1.0, 9.0)
    (2.0, 2.0, 9.0)
    """
    last_s = frame_times_s[-1]
    return end_s if end_s is not None and end_s > last_s + STILL * gap_s else last_s + gap_s


def first_pair_s(times_s: Sequence[float], seconds_per_grid: float) -> float:
    """The time of the first pair where that is more than half a step after zero, as in a video that begins late.

    Less than that is 0, with which the checkpoints were trained.

    >>> first_pair_s([2.5, 3.0], 1.0), first_pair_s([0.1, 0.6], 1.0)
    (2.5, 0.0)
    """
    return times_s[0] if times_s[0] > seconds_per_grid / 2 else 0.0


def frames_within(frame_times_s: Sequence[float], start_s: float, stop_s: float) -> tuple[int, int]:
    """The first frame between two times and the first after them; reaches outside if it must, to hold two frames."""
    num = len(frame_times_s)
    first, last = (bisect_left(frame_times_s, edge_s - TIE_S) for edge_s in (start_s, stop_s))
    while last - first < min(2, num):
        gap_before_s = start_s - frame_times_s[first - 1] if first > 0 else math.inf
        gap_after_s = frame_times_s[last] - stop_s if last < num else math.inf
        first, last = (first - 1, last) if gap_before_s <= gap_after_s else (first, last + 1)
    return first, last


def are_near(wanted_s: Sequence[float], frame_times_s: Sequence[float], most_s: float) -> bool:
    """True where no wanted time is farther than that from every frame."""
    nearest = [frame_times_s[nearest_frames([time_s], frame_times_s)[0]] for time_s in wanted_s]
    return all(abs(near_s - time_s) <= most_s for near_s, time_s in zip(nearest, wanted_s, strict=True))


def are_told_right(times_s: Sequence[float], fps: float) -> bool:
    """True where the position ids put no frame farther from its time than from its neighbours: half a pair's step."""
    start_s = first_pair_s(times_s, 2 / fps)
    return all(abs(time_s - start_s - k / fps) <= 1 / fps + TIE_S for k, time_s in enumerate(times_s))
