"""RA-RFT's refuse-IoU: time what is in the video, and refuse what is not."""

from collections.abc import Sequence

from tvg_lightning.rewards.timestamp_iou import timestamp_iou_reward
from tvg_lightning.schema import Span


def refusal_reward(spans: Sequence[Span] | None, windows: Sequence[Span], duration_s: float) -> float:
    """The timestamp IoU of the answer, or, where no window is true, 1 for the answer that says so.

    ``tIoU(first window of P, T)`` with true windows, ``1[P is empty]`` without; RA-RFT (arXiv 2511.23151), tIoU
    as of ``rewards.timestamp_iou``. 1: exactly a true window, or a rightful refusal. 0: no common time, a refusal of
    what is there, a window for what is not, or an answer that could not be read (``spans`` is None). Only the
    first window counts, as in the release: the best of many would pay for listing many. Times in seconds.

    Where we depart: in the release every answer without a bare "number to number" is a refusal, so that
    "3.1 - 9.2", "3.1s to 9.2s" and an empty block earn 1 where nothing is true; here windows are windows in any
    way of writing them, and an answer that says nothing is unreadable. A refusal that mentions
    "2 to 3 boxes" earns 0 there. Its tIoU turns negative where a time lies beyond the video; here it stops at 0.

    >>> refusal_reward([], [], 10.0), refusal_reward([Span(0.0, 4.0)], [], 10.0), refusal_reward(None, [], 10.0)
    (1.0, 0.0, 0.0)
    >>> refusal_reward([Span(0.0, 4.0)], [Span(2.0, 4.0)], 10.0)  # 0.5 * 0.8 * 1.0
    0.4
    """
    if spans is None:
        return 0.0
    if not windows:
        return 0.0 if spans else 1.0
    return timestamp_iou_reward(spans[0] if spans else None, windows, duration_s)
