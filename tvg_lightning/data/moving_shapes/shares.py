"""The shares of the kinds of queries in a rendering, as they are given and drawn from."""

import json
import math
import random
from dataclasses import asdict, dataclass

from tvg_lightning.data.moving_shapes.queries import KINDS, Kind
from tvg_lightning.files import is_number

_EXAMPLE = """'{"plain": 1, "relation": 1}'"""


@dataclass(frozen=True, slots=True)
class KindShares:
    """The share of videos of each kind, in any unit; 0 for a kind that is not drawn."""

    plain: float = 0.0
    ordinal: float = 0.0
    relation: float = 0.0
    look_alike: float = 0.0
    every: float = 0.0
    absent: float = 0.0
    long: float = 0.0

    def __post_init__(self) -> None:
        shares = asdict(self)
        for kind, share in shares.items():
            object.__setattr__(self, kind, float(share))  # 1 and 1.0 are written alike
            if not (math.isfinite(share) and share >= 0):
                raise ValueError(f"render: --kinds: the share of {kind} must be 0 or more, not {share}")
        if not 0 < math.fsum(shares.values()) < math.inf:
            raise ValueError("render: --kinds: at least one share must be above 0")

    def draw(self, rng: random.Random) -> Kind:
        """One kind at random."""
        shares = asdict(self)
        return rng.choices(KINDS, [shares[kind] for kind in KINDS])[0]


PLAIN = KindShares(plain=1.0)
ONE_WINDOW = '{"plain": 1, "look_alike": 0.5, "ordinal": 1, "relation": 1.5}'  # answered by a single window each


def read_shares(text: str) -> KindShares:
    """The shares that a command line says: one kind by its name, or a JSON object of numbers.

    >>> read_shares("plain") == read_shares('{"plain": 1}') == PLAIN
    True
    """
    if text in KINDS:
        return KindShares(**{text: 1.0})
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise ValueError(
            f"render: --kinds must be one of {', '.join(KINDS)}, or their shares such as {_EXAMPLE}, not {text!r}"
        )
    for kind, share in given.items():
        if kind not in KINDS:
            raise ValueError(f"render: --kinds: {kind!r} is no kind; there are {', '.join(KINDS)}")
        if not is_number(share):
            raise ValueError(f"render: --kinds: the share of {kind} must be a number, not {share!r}")
    return KindShares(**{kind: float(share) for kind, share in given.items()})
