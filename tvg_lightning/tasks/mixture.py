"""The task that each training sample becomes: one draw per sample and epoch, the same on every rank."""

import hashlib
import math
from dataclasses import dataclass, fields

from tvg_lightning.schema import Task

_SUM_TOLERANCE = 1e-3  # three times 0.0667 is what people write for a fifth


@dataclass(frozen=True)
class Mixture:
    """The share of each task; the shares add up to 1.

    Invert4TVG (arXiv 2508.07388) found 20 % inversion best: 0.8 for tvg, a third of 0.2 for each inversion.

    Args:
        tvg: the share of grounding.
        verb_completion: the share of naming the verb that was taken out of the sentence.
        action_recognition: the share of naming the action of a segment.
        video_description: the share of describing a segment.
    """

    tvg: float = 1.0
    verb_completion: float = 0.0
    action_recognition: float = 0.0
    video_description: float = 0.0

    def __post_init__(self) -> None:
        for name, share in self._shares():
            if not (math.isfinite(share) and 0.0 <= share <= 1.0):
                raise ValueError(f"mixture.{name} is {share}: give a share between 0 and 1")
        total = sum(share for _, share in self._shares())
        if abs(total - 1.0) > _SUM_TOLERANCE:
            raise ValueError(f"mixture: the shares add up to {total:g}: change them so that they add up to 1")

    def draw(self, seed: int, epoch: int, index: int) -> Task:
        """The task of sample ``index`` in ``epoch``: a hash, so every rank and every resumed run agrees.

        >>> Mixture().draw(seed=0, epoch=3, index=17)
        <Task.TVG: 'tvg'>
        """
        digest = hashlib.blake2b(f"{seed}:{epoch}:{index}".encode(), digest_size=8).digest()
        shares = [(name, share) for name, share in self._shares() if share > 0.0]
        left = int.from_bytes(digest, "big") / 2.0**64 * sum(share for _, share in shares)
        for name, share in shares:
            left -= share
            if left < 0.0:
                return Task(name)
        return Task(shares[-1][0])  # rounding can leave a last crumb

    def _shares(self) -> list[tuple[str, float]]:
        shares = {
            "tvg": self.tvg,
            "verb_completion": self.verb_completion,
            "action_recognition": self.action_recognition,
            "video_description": self.video_description,
        }
        assert list(shares) == [field.name for field in fields(self)]
        return list(shares.items())
