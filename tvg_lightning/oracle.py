"""OraRL (arXiv 2608.20492): the annotation as one more row of a group. Standard library only, in double precision.

A group is G completions of the policy with rewards ``r_1 … r_G`` and one row whose text is the annotation, with the
reward ``r_o`` of the same function. The row replaces no completion and is in no mean of the rewards.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

_EPS = 1e-6
_SMALL_STD = 1e-3  # rewards that differ less than this give no scale to go back to


@dataclass(frozen=True)
class OracleSettings:
    """The constants of OraRL (arXiv 2608.20492); the defaults are its release's.

    Args:
        prune: the share of the G completions that is left out of the loss, so that int(G * (1 - prune)) of the G + 1
            rows are kept, the oracle row among them; 0 keeps all rows.
        gain_power: exponent of the gain on advantages above 0: the gain is the ratio of the deviation of rewards with
            the oracle's to that without, to this power.
        max_gain: bound of that gain; 1 is no gain.
        weight: factor of the oracle row's advantage before it is capped.
        cap: the oracle row's advantage is at most this times the policy's best advantage, within min_cap and max_cap.
        min_cap: the bound that cap sets is raised to this, where it is lower.
        max_cap: the bound that cap sets is lowered to this, where it is higher.
    """

    prune: float = 0.5
    gain_power: float = 0.25
    max_gain: float = 4.0
    weight: float = 2.0
    cap: float = 1.2
    min_cap: float = 0.05
    max_cap: float = 1.0

    def num_rows(self, num_generations: int) -> int:
        """The rows of a group of G completions and an oracle row that are learned from.

        >>> [OracleSettings(prune=share).num_rows(8) for share in (0.0, 0.25, 0.5)]
        [9, 6, 4]
        """
        return num_generations + 1 if self.prune == 0 else int(num_generations * (1 - self.prune))

    def check_group(self, num_generations: int) -> None:
        """ValueError where pruning would leave no completion beside the oracle row."""
        if self.num_rows(num_generations) < 2:
            raise ValueError(
                f"grpo.oracle.prune is {self.prune}, which leaves {self.num_rows(num_generations)} of the rows of "
                f"{num_generations} completions and the oracle: at least one completion must stay beside it, so lower "
                "prune, or raise grpo.num_generations"
            )

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"grpo.oracle.{name} must be a number of 0 or more, not {value}")
        if self.prune >= 1:
            raise ValueError(f"grpo.oracle.prune must be below 1, not {self.prune}: some rows must stay")
        if self.max_gain < 1:
            raise ValueError(f"grpo.oracle.max_gain must be at least 1, not {self.max_gain}: 1 is no gain")
        if self.min_cap > self.max_cap:
            raise ValueError(
                f"grpo.oracle.min_cap is {self.min_cap}, above max_cap {self.max_cap}: lower one or raise the other"
            )


@dataclass(frozen=True, slots=True)
class OracleGroup:
    """Advantages of one group, in the order of its rows: the G completions, then the oracle row, which is row G.

    ``rows``: those that are learned from, rising; ``advantages``: theirs, after the correction that follows pruning.
    """

    rows: tuple[int, ...]
    advantages: tuple[float, ...]
    gain: float

    @property
    def oracle_advantage(self) -> float:
        """The advantage with which the oracle row is learned; it is always kept, and the last."""
        return self.advantages[-1]


def oracle_group(rewards: Sequence[float], oracle_reward: float, settings: OracleSettings) -> OracleGroup:
    """The rows of a group to learn from, and their advantages (OraRL, arXiv 2608.20492, as its release has it).

    ``raw_advantages``, then ``kept_rows``, then ``corrected``; without pruning, the first alone. Equal rewards below
    the oracle's do teach something here, unlike in GRPO.

    >>> group = oracle_group([0.0] * 8, 1.0, OracleSettings())
    >>> group.rows, [round(a, 4) for a in group.advantages]
    ((0, 1, 2, 8), [-0.0125, -0.0125, -0.0125, 0.0375])
    """
    policy, oracle, gain = raw_advantages(rewards, oracle_reward, settings)
    every_row = (*range(len(policy)), len(policy))
    if settings.prune == 0:
        return OracleGroup(every_row, (*policy, oracle), gain)
    rows = kept_rows(policy, settings.num_rows(len(policy)))
    kept = corrected([policy[row] for row in rows], oracle, _rms(policy), _std(rewards))
    return OracleGroup((*rows, len(policy)), kept, gain)


def raw_advantages(
    rewards: Sequence[float], oracle_reward: float, settings: OracleSettings
) -> tuple[list[float], float, float]:
    """Advantages of the completions and of the oracle row before pruning, and the gain.

    Completions: ``r - mean``; those above 0 are multiplied by the gain ``clip((S_all / (S + 1e-6)) ** gain_power, 1,
    max_gain)``, S the sample deviation of the completions' rewards, S_all that with the oracle's; then their mean is
    subtracted again, so that a completion exactly on the mean ends slightly below 0. Oracle row: ``min(weight * w,
    clip(cap * A_max, min_cap, max_cap))``, ``w = clip((r_o - mean) / (r_o + 1e-6), 0, 1) ** 2``, A_max the largest
    advantage of a completion (below 0 counts as 0).

    >>> policy, oracle, gain = raw_advantages([0.0, 1.0], 1.0, OracleSettings())
    >>> policy, round(oracle, 4), gain
    ([-0.5, 0.5], 0.5, 1.0)
    """
    mean = math.fsum(rewards) / len(rewards)
    is_constant = min(rewards) == max(rewards)  # left to rounding, r - mean is some 1e-17 of either sign
    centred = [0.0 if is_constant else reward - mean for reward in rewards]
    spread = _std([*rewards, oracle_reward]) / (_std(rewards) + _EPS)
    gain = min(max(spread**settings.gain_power, 1.0), settings.max_gain)
    raised = [a * gain if a > 0 else a for a in centred]
    shift = math.fsum(raised) / len(raised)
    policy = [a - shift for a in raised]
    gap = min(max((oracle_reward - mean) / (oracle_reward + _EPS), 0.0), 1.0) ** 2
    cap = min(max(settings.cap * max(policy), settings.min_cap), settings.max_cap)
    return policy, min(settings.weight * gap, cap), gain


def kept_rows(policy: Sequence[float], num_kept: int) -> list[int]:
    """The completions that stay beside the oracle row, ``num_kept`` rows in all, in their order.

    Of ``num_kept - 1`` places half (rounded down, but one at least) goes to advantages above 0, the rest to those
    below, each by the largest magnitude, ties by row; the release has this for G = 8: one above, two below. Places
    that a sign cannot fill go to the largest magnitude left over of either sign, then to zeros in their order.

    >>> kept_rows([0.1, -0.2, 0.3, -0.4, 0.0, 0.2, -0.1, -0.3], 4)
    [2, 3, 7]
    """
    num_places = num_kept - 1
    num_above = max(1, num_places // 2)
    by_size = sorted(range(len(policy)), key=lambda row: (-abs(policy[row]), row))
    above = [row for row in by_size if policy[row] > 0]
    below = [row for row in by_size if policy[row] < 0]
    chosen = above[:num_above] + below[: num_places - num_above]
    chosen += [row for row in by_size if row not in chosen][: num_places - len(chosen)]  # zeros are the smallest
    return sorted(chosen)


def corrected(policy: Sequence[float], oracle: float, rms_before: float, std: float) -> tuple[float, ...]:
    """Advantages of kept completions and, last, of the oracle row, with mean 0 and no larger than before.

    The mean of all of them is subtracted. An oracle row that is negative then becomes 0, and the completions take that
    amount over in equal parts. Then all are multiplied by ``clip(rms_before / (rms + 1e-6), 0.25, 1)``, ``rms_before``
    that of the completions before pruning; not where their rewards' deviation ``std`` is below 1e-3, or rms at most
    1e-6.

    >>> [round(a, 4) for a in corrected([-0.1], 0.3, rms_before=0.1, std=0.5)]
    [-0.1, 0.1]
    """
    rows = [*policy, oracle]
    mean = math.fsum(rows) / len(rows)
    rows = [a - mean for a in rows]
    if rows[-1] < 0:
        rows = [a + rows[-1] / len(policy) for a in rows[:-1]] + [0.0]
    rms = _rms(rows)
    scale = 1.0 if std < _SMALL_STD or rms <= _EPS else min(max(rms_before / (rms + _EPS), 0.25), 1.0)
    return tuple(a * scale for a in rows)


def _std(values: Sequence[float]) -> float:
    """The sample deviation, divided by n - 1; exactly 0 for equal values."""
    if min(values) == max(values):
        return 0.0
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _rms(values: Sequence[float]) -> float:
    return math.sqrt(math.fsum(value**2 for value in values) / len(values))
