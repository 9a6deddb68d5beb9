"""A finding about a run: how often something was seen, in which cases, with examples; and the tally it is made from."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tvg_lightning.traces import Trace

EXAMPLE_CHARS = 160
NUM_EXAMPLES = 2

Judged = Iterable[tuple[Trace, str | None]]
# the traces of one group that can be judged, each with the case that it is of, or None where nothing is wrong
Judge = Callable[[Sequence[Trace]], Judged]


@dataclass(frozen=True, slots=True)
class Example:
    """A completion in which it was seen: its sample, its step, and the end of its text that shows it."""

    sample_id: str
    step: int
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that ``num`` of ``out_of`` units show; findings are ordered by ``explains``, a share in [0, 1]."""

    name: str
    words: str
    num: int
    out_of: int
    unit: str
    explains: float
    cases: dict[str, int] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()


def example_of(trace: Trace, shows_start: bool = False) -> Example:
    """The beginning or the end of a completion's text, on one line.

    >>> from tvg_lightning.traces import Trace
    >>> one_line("a\\n  b" + "c" * 10, 6, shows_start=False), one_line("a\\n  b", 6, shows_start=True)
    ('… cccccc', 'a b')
    """
    return Example(trace.sample_id, trace.step, one_line(trace.text, EXAMPLE_CHARS, shows_start))


def one_line(text: str, num_chars: int, shows_start: bool) -> str:
    """A part of a text, blanks and line ends made one blank."""
    part = " ".join((text[: 4 * num_chars] if shows_start else text[-4 * num_chars :]).split())
    if len(part) <= num_chars and len(text) <= 4 * num_chars:
        return part
    return f"{part[:num_chars]} …" if shows_start else f"… {part[-num_chars:]}"


class Tally:
    """Counts the cases that a judge finds, group by group, and keeps the first two completions of each.

    ``window``: how many of the last judgements are counted once more, as what goes on now.
    """

    def __init__(self, judge: Judge, window: int) -> None:
        self.judge = judge
        self._recent: deque[bool] = deque(maxlen=window)
        self.num_judged = 0
        self.cases: Counter[str] = Counter()
        self._first: dict[str, list[Trace]] = {}

    @property
    def num(self) -> int:
        """The number of those that were of any case."""
        return self.cases.total()

    @property
    def share(self) -> float:
        """Their share of those that could be judged; 0 where none could."""
        return self.num / self.num_judged if self.num_judged else 0.0

    @property
    def num_recent(self) -> int:
        """The number of the last judgements."""
        return len(self._recent)

    @property
    def recent_share(self) -> float:
        """The share among those; 0 where there is none."""
        return sum(self._recent) / len(self._recent) if self._recent else 0.0

    def add(self, group: Sequence[Trace]) -> None:
        """Judge the completions of one group."""
        for trace, case in self.judge(group):
            self.num_judged += 1
            self._recent.append(case is not None)
            if case is None:
                continue
            self.cases[case] += 1
            first = self._first.setdefault(case, [])
            if len(first) < NUM_EXAMPLES:
                first.append(trace)

    def commonest(self, num: int = 4) -> str:
        """The commonest cases with their counts, in words."""
        told = [f"{case} ({count:,})" for case, count in self.cases.most_common(num)]
        num_more = self.num - sum(count for _, count in self.cases.most_common(num))
        return ", ".join([*told, *([f"others ({num_more:,})"] if num_more else [])])

    def examples(self) -> list[tuple[Trace, str]]:
        """One completion of each of the two commonest cases, or two of the only one."""
        cases = [case for case, _ in self.cases.most_common(NUM_EXAMPLES)]
        found = [
            (trace, case) for at in range(NUM_EXAMPLES) for case in cases for trace in self._first[case][at : at + 1]
        ]
        return found[:NUM_EXAMPLES]
