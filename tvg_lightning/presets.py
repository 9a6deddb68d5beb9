"""Evaluation presets: under one name, how the answers of a published evaluation are read and scored.

A preset's file ``configs/eval/NAME.yaml`` fixes the rest: frames, prompt, decoding. By default a preset reads with the
project's own parser and scores without the faults of the published script; ``as_published`` reproduces both.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from tvg_lightning.parsing import read_tolerant
from tvg_lightning.published.lmms_charades import read_lmms_charades
from tvg_lightning.published.museg import read_museg
from tvg_lightning.published.omtg import read_omtg_benchmark
from tvg_lightning.published.taro import read_taro
from tvg_lightning.published.time_r1 import read_time_r1
from tvg_lightning.published.timelens import read_ora_rl, read_timelens
from tvg_lightning.schema import Answer, AnswerFormat, Method, Span
from tvg_lightning.span_sets import answer_iou

PresetName = Literal[
    "timelens", "timelens2", "orarl", "time_r1", "timezero", "videochat_r1", "taro", "museg", "lmms_charades",
    "lmms_timelens", "omtg",
]  # fmt: skip
THRESHOLDS: Final = (0.3, 0.5, 0.7)


@dataclass(frozen=True, slots=True)
class PublishedScoring:
    """The rules of a published script, where it does not do what this project does.

    read: its parser. only_one: an answer of several windows is a failure; else the first one counts.
    rounds: predictions become whole seconds, half to even (2.5 -> 2). falls_back: where nothing is read, the window
    [D + 10, D + 20] stands in, D the length of the video. strict: R1@m counts IoU > m. first_truth: only the first
    true window counts. unread_leave_mean: answers without a window are not in mIoU, but are in R1@m. missing_leave:
    questions without an answer (or video) are in no metric. merges: questions of the same video, words and window are
    one, of which the last counts. stale: where nothing is read, the IoU of the question before stands, and the question
    is left out where there is none before (``score`` only, which has an order). spoils_sets: see
    ``published.omtg.merged_in_place``; and where there is nothing to find, an empty answer has a set IoU of 0.
    """

    read: Callable[[str], list[Span]]
    only_one: bool = False
    rounds: bool = False
    falls_back: bool = False
    strict: bool = False
    first_truth: bool = False
    unread_leave_mean: bool = False
    missing_leave: bool = False
    merges: bool = False
    stale: bool = False
    spoils_sets: bool = False


@dataclass(frozen=True, slots=True)
class Preset:
    """The format that answers are asked for in, whether they are sets, and the published script's rules."""

    form: AnswerFormat
    published: PublishedScoring
    sets: bool = False  # False: one window counts, also of formats that say several
    thresholds: tuple[float, ...] = THRESHOLDS


_TIME_R1: Final = AnswerFormat(Method.TIME_R1)
_TIMELENS: Final = AnswerFormat(Method.TIMELENS)
_READS_LAST: Final = PublishedScoring(read_time_r1, missing_leave=True)  # items that raise are dropped
PRESETS: Final[dict[PresetName, Preset]] = {
    "timelens": Preset(_TIMELENS, PublishedScoring(read_timelens, rounds=True, falls_back=True, merges=True)),
    "timelens2": Preset(_TIMELENS, PublishedScoring(read_timelens, unread_leave_mean=True, merges=True)),
    "orarl": Preset(
        AnswerFormat(Method.ORA_RL), PublishedScoring(read_ora_rl, rounds=True, falls_back=True, merges=True)
    ),
    "time_r1": Preset(_TIME_R1, PublishedScoring(read_time_r1, strict=True)),
    "timezero": Preset(_TIME_R1, _READS_LAST),
    "videochat_r1": Preset(_TIME_R1, replace(_READS_LAST, stale=True)),
    "taro": Preset(AnswerFormat(Method.TARO), PublishedScoring(read_taro, missing_leave=True)),
    "museg": Preset(
        AnswerFormat(Method.MUSEG), PublishedScoring(read_museg, first_truth=True), thresholds=(0.1, *THRESHOLDS)
    ),
    "lmms_charades": Preset(_TIMELENS, PublishedScoring(read_lmms_charades, only_one=True, merges=True)),
    "lmms_timelens": Preset(_TIMELENS, PublishedScoring(read_timelens, merges=True)),
    "omtg": Preset(
        AnswerFormat(Method.OMTG, thought=False), PublishedScoring(read_omtg_benchmark, spoils_sets=True), sets=True
    ),
}


@dataclass(frozen=True, slots=True)
class Scorer:
    """The way from the text of an answer to its IoU; without a preset that of the format.

    >>> scorer = Scorer.of("timelens", as_published=True)
    >>> scorer.counted(scorer.read("The event happens in 61.5s to 111.7s"), 180.0).span
    Span(start_s=61.0, end_s=111.0)
    >>> Scorer.of("timelens").read("The event happens in 61.5s to 111.7s").span
    Span(start_s=61.5, end_s=111.7)
    """

    form: AnswerFormat
    name: PresetName | None = None
    as_published: bool = False

    def __post_init__(self) -> None:
        if self.name is None and self.as_published:
            raise ValueError("as_published: this is the way of a preset: name one, or set as_published to false")
        if self.name is not None and not _is_same(self.form, PRESETS[self.name].form):
            wanted = PRESETS[self.name].form
            raise ValueError(
                f"evaluation.preset {self.name} asks for answers in the format data.method {wanted.method}, "
                f"{'with' if wanted.has_thought else 'without'} a thought: add configs/eval/{self.name}.yaml whole"
            )

    @classmethod
    def of(cls, name: PresetName, as_published: bool = False) -> "Scorer":
        """The scorer of a preset, for texts whatever asked for them."""
        return cls(PRESETS[name].form, name, as_published)

    @property
    def label(self) -> str | None:
        """The name to stand beside every number; None without a preset."""
        return f"{self.name}_as_published" if self.as_published else self.name

    @property
    def published(self) -> PublishedScoring | None:
        """The published script's rules, where they are to be followed."""
        return PRESETS[self.name].published if self.name is not None and self.as_published else None

    @property
    def says_sets(self) -> bool:
        """True where answers are scored as sets of windows."""
        return self.form.says_sets if self.name is None else PRESETS[self.name].sets

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The m of R1@m."""
        return THRESHOLDS if self.name is None else PRESETS[self.name].thresholds

    def strict(self, otherwise: bool = False) -> bool:
        """True where R1@m counts IoU > m: as the published script does, or as is asked for."""
        return otherwise or (self.published is not None and self.published.strict)

    def read(self, text: str) -> Answer:
        """The answer in a text. As published its windows stand as theirs are, also reversed ones."""
        answer = read_tolerant(text, self.form)
        if self.published is not None:
            windows = tuple(self.published.read(text))
            is_failure = (not windows and not self.says_sets) or (self.published.only_one and len(windows) > 1)
            answer = replace(answer, spans=None if is_failure else windows)
        return self._as_scored(answer)

    def counted(self, answer: Answer, duration_s: float | None) -> Answer:
        """The answer as it is held against the truth: rounded, or replaced, where the published script does so."""
        answer = self._as_scored(answer)
        if self.published is None:
            return answer
        spans = answer.spans
        if spans is None and self.published.falls_back and duration_s is not None:
            spans = (Span(duration_s + 10.0, duration_s + 20.0),)
        if spans is not None and self.published.rounds:
            spans = tuple(Span(*map(_to_whole, span)) for span in spans)
        return replace(answer, spans=spans)

    def truths(self, windows: Sequence[Span]) -> Sequence[Span]:
        """The true windows that count."""
        return windows[:1] if self.published is not None and self.published.first_truth else windows

    def iou(self, answer: Answer, windows: Sequence[Span]) -> float:
        """IoU of a counted answer with the truth (``span_sets.answer_iou``)."""
        if self.published is not None and self.published.spoils_sets and not windows:
            return 0.0
        return answer_iou(answer, self.truths(windows))

    def _as_scored(self, answer: Answer) -> Answer:
        """The first window alone, where one window counts."""
        if self.says_sets:
            return answer
        return replace(answer, spans=answer.spans[:1] if answer.spans else None, is_set=False)


def _to_whole(time_s: float) -> float:
    """Half to even; a number with hundreds of digits is infinite, and stays so."""
    return float(round(time_s)) if math.isfinite(time_s) else time_s


def _is_same(form: AnswerFormat, other: AnswerFormat) -> bool:
    return (form.method, form.has_thought) == (other.method, other.has_thought)
