"""Files made from the ledger: traces to learn from, and what was refused, with the reason.

Both are written anew as a whole, in the order of the annotations, so no run can double or lose a line.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tvg_lightning.files import BAD_CHARACTERS, write_jsonl
from tvg_lightning.parsing import read_strict
from tvg_lightning.schema import AnswerFormat, Sample, Task
from tvg_lightning.teacher.questions import Question
from tvg_lightning.teacher.reply import Reply
from tvg_lightning.traces import Trace, write_traces


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that cannot be learned from, or a question that got none (``text`` "")."""

    sample_id: str
    answer: int  # which answer of the question
    video: str
    query: str
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Results:
    """The results in a ledger for some annotations.

    ``num_open``: answers not asked for yet; ``num_fixed``: traces with U+FFFD in place of half an emoji or NUL.
    """

    traces: tuple[Trace, ...]
    refused: tuple[Refused, ...]
    num_open: int
    num_fixed: int = 0

    def write(self, traces: Path, refused: Path) -> None:
        """Each file appears whole or not at all."""
        write_traces(traces, self.traces)
        write_jsonl(refused, map(asdict, self.refused))

    def summary(self) -> str:
        """Counts, and why answers were refused."""
        reasons = Counter(record.reason.split(":")[0] for record in self.refused)
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        fixed = f" ({self.num_fixed} fixed: {BAD_CHARACTERS} is replaced by U+FFFD)" if self.num_fixed else ""
        return f"{len(self.traces)} traces{fixed}, {len(self.refused)} refused{f' ({why})' if why else ''}"


def refusal(reply: Reply, form: AnswerFormat) -> str | None:
    """The reason why an answer cannot be learned from, a few words before any colon; None for a good one.

    Good is the method's format with usable spans in it, or the statement that there is none. How near they are to the
    truth is for `filter`.

    >>> from tvg_lightning.schema import Method
    >>> refusal(Reply("It rises at 3 s.", "stop", "", 7, 99), AnswerFormat(Method.TVG_R1))
    'format'
    """
    if reply.refusal:
        return f"refused by the teacher: {reply.refusal}"
    if reply.finish_reason == "content_filter":
        return "content filter"
    if reply.is_truncated:
        return "truncated at question.max_tokens"
    if not reply.text.strip():
        return "no text"
    answer = read_strict(reply.text, form)
    if not answer.follows_format:
        return "format"
    return None if answer.spans is not None else "no usable span"


def trace_of(sample: Sample, reply: Reply, form: AnswerFormat, group: int, rollout: int) -> Trace:
    """An answer as a trace of the stage ``teacher``; nothing is rewarded here, so rewards are empty."""
    answer = read_strict(reply.text, form)
    return Trace.of(
        sample,
        Task.TVG,
        answer,
        reply.text,
        stage="teacher",
        step=0,
        epoch=0,
        rewards={},
        reward=0.0,
        advantage=0.0,
        num_tokens=reply.num_tokens,
        group=group,
        rollout=rollout,
        truncated=reply.is_truncated,
        form=form,
    )


def collect(
    samples: Sequence[Sample],
    questions: Mapping[str, Question],
    unreadable: Mapping[str, str],
    replies: Mapping[str, Reply],
    set_aside: Mapping[str, str],
    form: AnswerFormat,
) -> Results:
    """The results of all samples. ``questions`` and ``unreadable`` are by sample id, the others by key."""
    traces: list[Trace] = []
    refused: list[Refused] = []
    num_open = num_fixed = 0
    for group, sample in enumerate(samples):
        if sample.sample_id in unreadable:
            refused.append(_refused(sample, 0, f"video: {unreadable[sample.sample_id]}", ""))
            continue
        for rollout, key in enumerate(questions[sample.sample_id].keys):
            reply = replies.get(key)
            if reply is None and key in set_aside:
                refused.append(_refused(sample, rollout, set_aside[key], ""))
            elif reply is None:
                num_open += 1
            elif (reason := refusal(reply, form)) is not None:
                refused.append(_refused(sample, rollout, reason, reply.text))
            else:
                traces.append(trace_of(sample, reply, form, group, rollout))
                num_fixed += reply.is_fixed
    return Results(tuple(traces), tuple(refused), num_open, num_fixed)


def _refused(sample: Sample, answer: int, reason: str, text: str) -> Refused:
    return Refused(sample.sample_id, answer, sample.video, sample.query, reason, text)
