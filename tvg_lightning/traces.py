"""The trace of one completion, one JSON line on disk: the query, the text, the answer read from it and its rewards.

A file belongs to one run and one process; steps only rise in it. A torn last line, of a run that died while it wrote,
was never written (``files``).
"""

import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tvg_lightning.files import BAD_CHARACTERS, at, atomic_write, json_lines, name_text, plain_text, repair_last_line
from tvg_lightning.schema import Answer, AnswerFormat, Method, Sample, Span, Task
from tvg_lightning.span_sets import answer_iou
from tvg_lightning.spans import iou_to_windows

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trace:
    """One completion of one query. Times in seconds; ``answer_iou`` is None if nothing is grounded."""

    stage: str
    step: int
    epoch: int
    sample_id: str
    video: str
    task: Task
    query: str
    windows: tuple[Span, ...] | None  # (): the event is not in the video; None: the truth is unknown
    duration_s: float
    text: str
    follows_format: bool
    anchors: tuple[Span, ...]
    spans: tuple[Span, ...] | None  # of the answer; (): not in the video; None: there is none that can be used
    is_set: bool  # in a format that may hold several spans, or none
    anchor_ious: tuple[float, ...]
    answer_iou: float | None
    rewards: dict[str, float]  # each part before its weight
    reward: float  # the weighted total
    advantage: float
    num_tokens: int
    group: int  # which query of the step
    rollout: int  # which completion of that query
    # the default where there is nothing to tell, and in traces that were written before these fields were
    frame_dependence: float | None = None  # d of ``policy.frame_dependence``
    truncated: bool | None = None  # ended by max_new_tokens
    last_frame_s: float | None = None  # time of the last frame that was seen; of grounding only
    form: AnswerFormat | None = None  # the format that a grounding answer is asked for in
    pruned: bool = False  # not learned from, see ``grpo.oracle``
    oracle_advantage: float | None = None  # of the annotation as a row of its group, where it is one
    num_given_tokens: int = 0  # at the beginning, which the policy did not write (``grpo.warm_start``)
    kind: str = ""  # the kind of question, where the data tells it
    logp_difference: float | None = None  # of the engine's and the loss's log-probs, see ``modules.rollout_report``

    @property
    def answer(self) -> Answer:
        """The answer that was read from the text."""
        return Answer(self.follows_format, self.spans, self.anchors, self.is_set)

    @classmethod
    def of(cls, sample: Sample, task: Task, answer: Answer, text: str, **more: Any) -> Self:
        """The trace of a completion; its IoUs are measured here. ``more``: the fields that none of these gives."""
        windows = sample.windows if task == Task.TVG else None  # None: nothing is grounded
        return cls(
            sample_id=sample.sample_id,
            video=sample.video,
            task=task,
            query=sample.query,
            windows=sample.windows,
            duration_s=sample.duration_s,
            kind=plain_text(sample.kind),
            text=plain_text(text),
            follows_format=answer.follows_format,
            anchors=answer.anchors,
            spans=answer.spans,
            is_set=answer.is_set,
            anchor_ious=() if windows is None else tuple(iou_to_windows(anchor, windows) for anchor in answer.anchors),
            answer_iou=None if windows is None else answer_iou(answer, windows),
            **more,
        )


class TraceWriter:
    """Appends traces to a file, one flush a ``write``; made to be closed (``with`` does it)."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        repair_last_line(self.path)
        self._file = self.path.open("ab")

    def write(self, traces: Iterable[Trace]) -> None:
        """Append the traces of one step."""
        self._file.write(b"".join(_line_of(trace) for trace in traces))
        self._file.flush()

    def truncate_after(self, step: int) -> int:
        """Drop the records of steps after ``step`` and return how many; for a run that resumes at ``step``.

        The file is written anew beside the old one and then put in its place, so a crash loses nothing.
        """
        dropped = 0
        with atomic_write(self.path) as part, part.open("wb") as kept:
            for trace in read_traces(self.path):
                if trace.step <= step:
                    kept.write(_line_of(trace))
                else:
                    dropped += 1
        self._file.close()
        self._file = self.path.open("ab")
        return dropped

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def write_traces(path: Path, traces: Iterable[Trace]) -> None:
    """Write a file of traces; it appears whole or not at all."""
    with atomic_write(path) as part:
        part.write_bytes(b"".join(_line_of(trace) for trace in traces))


def read_traces(path: Path | str) -> Iterator[Trace]:
    """The traces of a file in order; ValueError naming file:line for a line that is none; blank ones pass.

    Half an emoji or NUL in a text or a query is replaced by U+FFFD; at the end of the file it is said how often.
    """
    path = Path(path)
    fixed: list[int] = []
    for number, record in json_lines(path):
        with at(path, number):
            trace = _trace_of(record)
        if (trace.text, trace.query) != (record["text"], record["query"]):
            fixed.append(number)
        yield trace
    if fixed:
        words = "%s: %d traces fixed, the first at line %d: %s is replaced by U+FFFD"
        log.warning(words, path, len(fixed), fixed[0], BAD_CHARACTERS)


def num_traces(path: Path | str) -> int:
    """The number of traces in a file."""
    return sum(1 for _ in read_traces(path))


def _line_of(trace: Trace) -> bytes:
    """The record as ASCII JSON, so that no text a model can produce (lone surrogates too) fails to encode.

    A NaN or infinite number is a fault of the training step and raises here instead of spoiling the file.
    """
    record = asdict(trace)
    for key, (_, default) in _OPTIONAL.items():
        if record[key] == default:
            del record[key]
    return (json.dumps(record, allow_nan=False) + "\n").encode("ascii")


def _trace_of(record: object) -> Trace:
    """The trace of a parsed line; ValueError naming the key that is missing, unknown or of the wrong kind."""
    if not isinstance(record, dict):
        raise ValueError(f"expected an object with the fields of a trace, got {type(record).__name__}")
    missing = sorted(_READERS.keys() - record.keys())
    unknown = sorted(record.keys() - _READERS.keys() - _OPTIONAL.keys())
    if missing or unknown:
        raise ValueError(f"not a trace of this version: missing {missing or 'nothing'}, unknown {unknown or 'nothing'}")
    values: dict[str, object] = {}
    for key, read in [*_READERS.items(), *((key, read) for key, (read, _) in _OPTIONAL.items() if key in record)]:
        try:
            values[key] = read(record[key])
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{key}: {error}") from error
    return Trace(**values)  # type: ignore[arg-type]  # every value has just been read as its field's kind


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {value!r}")
    return name_text(value, "the text")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {value!r}")
    return plain_text(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false, got {value!r}")
    return value


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected a whole number, got {value!r}")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {value!r}")
    return float(value)


def _optional_number(value: object) -> float | None:
    return None if value is None else _number(value)


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {value!r}")
    return value


def _numbers(value: object) -> tuple[float, ...]:
    return tuple(_number(number) for number in _list(value))


def _span(value: object) -> Span:
    numbers = _numbers(value)
    if len(numbers) != 2:
        raise ValueError(f"expected [start, end], got {value!r}")
    return Span(*numbers)


def _spans(value: object) -> tuple[Span, ...]:
    return tuple(_span(span) for span in _list(value))


def _optional_spans(value: object) -> tuple[Span, ...] | None:
    return None if value is None else _spans(value)


def _parts(value: object) -> dict[str, float]:
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, got {value!r}")
    return {_name(key): _number(number) for key, number in value.items()}


def _task(value: object) -> Task:
    return Task(_name(value))


def _optional_flag(value: object) -> bool | None:
    return None if value is None else _flag(value)


def _form(value: object) -> AnswerFormat | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.keys() != {"method", "thought"}:
        raise TypeError(f"expected an object with method and thought, got {value!r}")
    return AnswerFormat(Method(_name(value["method"])), _optional_flag(value["thought"]))


_READERS: dict[str, Callable[[object], object]] = {
    "stage": _name,
    "step": _whole,
    "epoch": _whole,
    "sample_id": _name,
    "video": _name,
    "task": _task,
    "query": _text,
    "windows": _optional_spans,
    "duration_s": _number,
    "text": _text,
    "follows_format": _flag,
    "anchors": _spans,
    "spans": _optional_spans,
    "is_set": _flag,
    "anchor_ious": _numbers,
    "answer_iou": _optional_number,
    "rewards": _parts,
    "reward": _number,
    "advantage": _number,
    "num_tokens": _whole,
    "group": _whole,
    "rollout": _whole,
}

# not in the file where a value is the default: how to read it, and the default
_OPTIONAL: dict[str, tuple[Callable[[object], object], object]] = {
    "frame_dependence": (_optional_number, None),
    "truncated": (_optional_flag, None),
    "last_frame_s": (_optional_number, None),
    "form": (_form, None),
    "pruned": (_flag, False),
    "oracle_advantage": (_optional_number, None),
    "num_given_tokens": (_whole, 0),
    "kind": (_text, ""),
    "logp_difference": (_optional_number, None),
}
