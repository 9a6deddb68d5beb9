"""The price of an answer that cannot be read: TimeLens2."""

from collections.abc import Sequence

from tvg_lightning.schema import Span


def parse_penalty_reward(spans: Sequence[Span] | None) -> float:
    """Penalty for a text in which no answer can be read.

    ``-1[unreadable]``; TimeLens2 (arXiv 2607.17423), beside set IoU and Wasserstein, which are 0 there. 0: an answer
    was read. -1: none was (``spans`` is None).

    Where we depart: the release cannot read ``[]``, so that saying "not in the video" costs 1; here it is an answer.

    >>> parse_penalty_reward([Span(1.0, 2.0)]), parse_penalty_reward([]), parse_penalty_reward(None)
    (0.0, 0.0, -1.0)
    """
    return -1.0 if spans is None else 0.0
