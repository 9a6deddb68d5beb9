"""The nouns of the project: what every other file speaks about. Standard library only.

Times are seconds from the start of the (possibly cut) video, as floats.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple, Self


class Span(NamedTuple):
    """A stretch of time, ``start_s`` to ``end_s`` in seconds; usable only when start_s < end_s."""

    start_s: float
    end_s: float


class Task(StrEnum):
    """The task that the policy is given: grounding, or one of Invert4TVG's three inversions of it."""

    TVG = "tvg"
    VERB_COMPLETION = "verb_completion"
    ACTION_RECOGNITION = "action_recognition"
    VIDEO_DESCRIPTION = "video_description"


class Method(StrEnum):
    """The method whose prompt and answer format are used for the grounding task."""

    TAR_TVG = "tar_tvg"
    TVG_R1 = "tvg_r1"
    TIME_R1 = "time_r1"
    INVERT4TVG = "invert4tvg"
    TIMELENS2 = "timelens2"
    ORA_RL = "ora_rl"
    TIMELENS = "timelens"
    TARO = "taro"
    MUSEG = "museg"
    OMTG = "omtg"


# as they are written in a config
TaskName = Literal["tvg", "verb_completion", "action_recognition", "video_description"]
MethodName = Literal[
    "tar_tvg", "tvg_r1", "time_r1", "invert4tvg", "timelens2", "ora_rl", "timelens", "taro", "museg", "omtg"
]

_ANSWERS_ALONE = frozenset({Method.TIMELENS2, Method.ORA_RL, Method.TIMELENS})  # ask for no thought
_SETS = frozenset({Method.TIMELENS2, Method.MUSEG, Method.OMTG})
_SETS_OR_NONE = frozenset({Method.TIMELENS2, Method.MUSEG})


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """The form that a grounding answer is asked for in: a method's, after a thought or alone.

    ``thought`` None is as the method has it; ORA_RL then asks for the answer alone and accepts a thought before it.
    """

    method: Method
    thought: bool | None = None

    @property
    def has_thought(self) -> bool:
        """True where the answer stands behind a thought."""
        return self.method not in _ANSWERS_ALONE if self.thought is None else self.thought

    def asks_as(self, other: Self) -> bool:
        """True where the other format asks for the same, said in another way perhaps."""
        return self.method is other.method and self.has_thought == other.has_thought

    def __str__(self) -> str:
        return f"{self.method}, {'with' if self.has_thought else 'without'} a thought"

    @property
    def has_anchors(self) -> bool:
        """True where the thought holds timestamp anchors."""
        return self.method is Method.TAR_TVG and self.has_thought

    @property
    def says_sets(self) -> bool:
        """True where an answer may hold several windows."""
        return self.method in _SETS

    @property
    def says_none(self) -> bool:
        """True where an answer can say that the event is not in the video."""
        return self.method in _SETS_OR_NONE


@dataclass(frozen=True, slots=True)
class Sample:
    """One annotated query: a sentence about a video and the window(s) in which it is true."""

    sample_id: str
    video: str  # path of the file, relative to the data's video folder
    duration_s: float
    query: str
    windows: tuple[Span, ...] | None  # (): the event is not in the video; None: the truth is unknown
    cut: Span | None = None  # the part of the file that is "the video"; windows are relative to it
    kind: str = ""  # the kind of question, where the data tells it
    captions: tuple[str, ...] = ()  # of the video's events in order of time, where the data has them
    rollouts: tuple[str, ...] = ()  # answers of a model that come with the data, as it wrote them
    weight: float = 1.0  # of the sample in the draw of a training set


@dataclass(frozen=True, slots=True)
class Prompt:
    """The text around the video: an optional system turn, and the user's words after the video or before it.

    ``time_as_text``: the time of every pair of frames stands before its tokens.
    """

    user: str
    system: str | None = None
    video_first: bool = True
    time_as_text: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer read from one completion; bad text gives None and (), never an exception."""

    follows_format: bool  # the whole text is in the format that was asked for
    spans: tuple[Span, ...] | None  # the final answer; (): not in the video; None: there is none that can be used
    anchors: tuple[Span, ...] = ()  # the timestamps inside the thought, in order
    is_set: bool = False  # in a format that may hold several windows

    @property
    def span(self) -> Span | None:
        """The first window of the answer, for scores of one window."""
        return self.spans[0] if self.spans else None
