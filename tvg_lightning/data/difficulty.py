"""Online difficulty control: every pass over the training data draws from what is neither solved nor hopeless.

Time-R1 (arXiv 2503.13377) answers its training set anew after every epoch and keeps the samples with
0 < IoU <= 0.7. Here the answers are those that training sampled anyway, so that it costs nothing and
training goes on; a sample's IoU is the mean over its group. What was left out once is not measured again, and so
stays out, as in the release.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DifficultyBand:
    """Samples with min_iou < IoU <= max_iou are kept for the next pass; the defaults are Time-R1's.

    Args:
        min_iou: a sample is kept whose completions have a mean IoU above this.
        max_iou: a sample is kept whose completions have a mean IoU of this or less.
    """

    min_iou: float = 0.0
    max_iou: float = 0.7

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_iou < self.max_iou <= 1.0:
            raise ValueError(
                f"difficulty: 0 <= min_iou < max_iou <= 1 is needed, not {self.min_iou} and {self.max_iou}"
            )

    def keeps(self, iou: float) -> bool:
        """True where a sample with this mean IoU is worth another pass.

        >>> DifficultyBand().keeps(0.0), DifficultyBand().keeps(0.7), DifficultyBand().keeps(0.71)
        (False, True, False)
        """
        return self.min_iou < iou <= self.max_iou


@dataclass(slots=True)
class OnlineDifficulty:
    """The samples (by index) that each pass of a stage has kept, and the IoUs seen in the pass that runs now.

    ``merged`` joins the entries of all processes, so that every one of them keeps the same samples. ``unreadable``:
    samples whose videos cannot be read; they leave the pool.
    """

    band: DifficultyBand
    num_samples: int
    fewest: int  # a pass must fill one batch of all processes
    merged: Callable[[Mapping[int, float]], dict[int, float]] = dict
    kept: list[list[int]] = field(default_factory=list)
    ious: dict[int, float] = field(default_factory=dict)
    unreadable: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.kept = self.kept or [list(range(self.num_samples))]

    def report(self, index: int, iou: float) -> None:
        """Note the mean IoU of a sample's completions; the latest counts."""
        self.ious[index] = iou

    def close_pass(self) -> None:
        """Choose the samples of the next pass; one that was not answered in this pass stays, if it can be read.

        What cannot be read is left out before anything is counted: nobody can tell how hard it is.
        """
        ious, unreadable = self.merged(self.ious), self._all_unreadable()
        readable = [index for index in self.kept[-1] if index not in unreadable]
        before = readable if len(readable) >= self.fewest else self.kept[-1]
        after = [index for index in before if index not in ious or self.band.keeps(ious[index])]
        if len(after) < self.fewest:
            log.info("difficulty: only %d of %d samples are left, going on with all of them", len(after), len(before))
            after = before
        else:
            log.info("difficulty: the next pass draws from %d of %d samples", len(after), len(before))
        self.kept.append(after)
        self.ious = {}

    def state_dict(self) -> dict[str, object]:
        return {"kept": self.kept, "ious": self.merged(self.ious), "unreadable": self._all_unreadable()}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        kept, ious, unreadable = state["kept"], state["ious"], state["unreadable"]
        assert isinstance(kept, list) and isinstance(ious, dict) and isinstance(unreadable, list)
        self.kept, self.ious, self.unreadable = [list(pass_) for pass_ in kept], dict(ious), set(unreadable)

    def _all_unreadable(self) -> list[int]:
        """The samples of all processes whose videos cannot be read."""
        return sorted(self.merged(dict.fromkeys(self.unreadable, 0.0)))
