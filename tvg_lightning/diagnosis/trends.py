"""Changes between the first and the last completions of a stage, and rewards that never change."""

import re
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from statistics import fmean
from typing import Final

from tvg_lightning.traces import Trace

_TAG: Final = re.compile(r"</?[a-z]{1,20}>")
_SCRIPTS_OF_ONE_LANGUAGE: Final = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "FULLWIDTH": "LATIN", "HALFWIDTH": "CJK"}


class Trend:
    """A number of every completion: of the first ``window`` of them, and of the last."""

    def __init__(self, measure: Callable[[Trace], float], window: int) -> None:
        self.measure, self.window = measure, window
        self.num_seen = 0
        self._first: list[tuple[Trace, float]] = []
        self._last: deque[tuple[Trace, float]] = deque(maxlen=window)

    def add(self, group: Sequence[Trace]) -> None:
        """Measure the completions of one group."""
        for trace in group:
            self.num_seen += 1
            self._last.append((trace, self.measure(trace)))
            if len(self._first) < self.window:
                self._first.append(self._last[-1])

    @property
    def num(self) -> int:
        """The number on each side: the window, or half of what there is, so that nothing stands on both."""
        return min(self.window, self.num_seen // 2)

    @property
    def last(self) -> list[tuple[Trace, float]]:
        """The last completions and their numbers."""
        return list(self._last)[len(self._last) - self.num :]

    def means(self) -> tuple[float, float]:
        """The mean of the first and of the last; both are 0 where there are not two completions."""
        if self.num == 0:
            return 0.0, 0.0
        return fmean(value for _, value in self._first[: self.num]), fmean(value for _, value in self.last)


class Ranges:
    """The smallest and the largest value of every part of the reward; constant parts teach nothing."""

    def __init__(self) -> None:
        self.num_of: dict[str, int] = {}
        self._of: dict[str, tuple[float, float]] = {}

    def add(self, group: Sequence[Trace]) -> None:
        """Look at the parts of one group's rewards."""
        for trace in group:
            for name, value in trace.rewards.items():
                low, high = self._of.get(name, (value, value))
                self._of[name] = min(low, value), max(high, value)
                self.num_of[name] = self.num_of.get(name, 0) + 1

    def constant(self, fewest: int) -> dict[str, float]:
        """The parts that had one value in all of at least ``fewest`` completions, with it."""
        return {n: low for n, (low, high) in self._of.items() if low == high and self.num_of[n] >= fewest}


def foreign_share(trace: Trace) -> float:
    """The share of a text's letters that are of no script of its query; signs such as emoji count as letters.

    Tags are left out. 0: all letters are of the query's scripts, or there are none.

    >>> foreign_letters("<think>a 圆 b</think>", "The red circle rises.")
    0.3333333333333333
    """
    return foreign_letters(trace.text, trace.query)


def foreign_letters(text: str, query: str) -> float:
    """The share in ``text`` of letters of a script that ``query`` has none of; see ``foreign_share``."""
    if text.isascii() and any(map(str.isalpha, query)) and query.isascii():
        return 0.0
    known = {script_of(sign) for sign in query} - {""} or {"LATIN"}
    scripts: Counter[str] = Counter()
    for sign, num in Counter(_TAG.sub("", text)).items():
        scripts[script_of(sign)] += num
    num_letters = scripts.total() - scripts[""]
    num_foreign = num_letters - sum(scripts[script] for script in known)
    return num_foreign / num_letters if num_letters else 0.0


@lru_cache(maxsize=65536)
def script_of(sign: str) -> str:
    """The script of a letter; "sign" for emoji and what is no text; "" for digits, blanks and marks.

    >>> script_of("é"), script_of("圆"), script_of("ひ"), script_of("ж"), script_of(","), script_of("🐱")
    ('LATIN', 'CJK', 'CJK', 'CYRILLIC', '', 'sign')
    """
    if sign.isalpha():
        script = unicodedata.name(sign, "unknown").split()[0]
        return _SCRIPTS_OF_ONE_LANGUAGE.get(script, script)
    return "sign" if unicodedata.category(sign) in ("So", "Co", "Cn", "Cc") and not sign.isspace() else ""
