"""The Wasserstein reward of TimeLens2: smooth for sets of windows, also where answer and truth share no time."""

import math
from collections.abc import Sequence

from tvg_lightning.schema import Span
from tvg_lightning.span_sets import covered_s, wasserstein_s


def wasserstein_reward(spans: Sequence[Span] | None, windows: Sequence[Span]) -> float:
    """Closeness of the answer's time to the truth's: the way it must be moved, relative to the truth's length.

    ``exp(-W1(P, T) / |T|)``, W1 as of ``span_sets.wasserstein_s``, both sets merged; TimeLens2
    (arXiv 2607.17423), which calls this one ``twass1``. 1: the same time, or an empty answer where there is no
    true window. 0: only one of them is empty, or the answer could not be read (``spans`` is None) or used.
    Above 0 everywhere else, if only just: a far window beats none. Times in seconds.

    Where we depart: an answer up to ``Infinity`` makes the reward of the release NaN; here such a window is
    unusable, and dropped. A reversed or empty window where nothing is true is no empty answer, and earns 0.

    >>> round(wasserstein_reward([Span(0.0, 2.0)], [Span(1.0, 3.0)]), 6)  # W1 = 1 s, |T| = 2 s: exp(-0.5)
    0.606531
    >>> wasserstein_reward([], []), wasserstein_reward([], [Span(1.0, 3.0)])
    (1.0, 0.0)
    """
    if spans is None:
        return 0.0
    if not spans and not windows:
        return 1.0
    distance_s = wasserstein_s(spans, windows)
    return math.exp(-distance_s / covered_s(windows)) if math.isfinite(distance_s) else 0.0
