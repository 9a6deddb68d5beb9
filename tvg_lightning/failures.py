"""The one classification of what went wrong in a completion, for whoever shows, counts or filters traces.

The parts are those of ``diagnosis``; here they exclude each other, and the first that holds is the failure.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from tvg_lightning.diagnosis.judges import copied_example, out_of_format, prompt_examples, without_time
from tvg_lightning.prompts import PromptTemplates
from tvg_lightning.schema import AnswerFormat, Span, Task
from tvg_lightning.spans import iou, iou_to_windows
from tvg_lightning.traces import Trace

HIT_IOU = 0.5  # from here on an answer is right
NEAR_IOU = 0.1  # from here on it is about this event; below it is elsewhere


class Failure(StrEnum):
    """The kinds of failure, in the order in which they are looked for."""

    FORMAT = "format"
    NO_ANSWER = "no_answer"
    COPIED = "copied"
    OTHER_EVENT = "other_event"
    LOOSE_EDGES = "loose_edges"
    MISSED = "missed"


WORDS: Mapping[Failure, str] = {
    Failure.FORMAT: "format not followed",
    Failure.NO_ANSWER: "no answer",
    Failure.COPIED: "copied from the prompt",
    Failure.OTHER_EVENT: "another event of the same video",
    Failure.LOOSE_EDGES: "right event with loose edges",
    Failure.MISSED: "truth missed",
}


class Verdict(NamedTuple):
    """A failure, or None where nothing is wrong that can be told; ``detail`` says more, "" where there is no more."""

    failure: Failure | None
    detail: str = ""

    @property
    def words(self) -> str:
        """The failure as a person reads it; "" for none."""
        if self.failure is None:
            return ""
        return WORDS[self.failure] + (f": {self.detail}" if self.detail else "")


class Events:
    """The true windows that the queries of a run name, by video: what another event of a video can be.

    Only what was asked is known. A file that is cut in several ways is several videos: their durations tell them apart.
    """

    def __init__(self, traces: Iterable[Trace] = ()) -> None:
        self._of: dict[tuple[str, float], dict[Span, str]] = {}
        for trace in traces:
            self.add(trace)

    def add(self, trace: Trace) -> None:
        """Take in the windows of one completion's query."""
        for window in trace.windows or ():
            self._of.setdefault((trace.video, trace.duration_s), {}).setdefault(window, trace.query)

    def others(self, trace: Trace) -> dict[Span, str]:
        """The other events of its video with their queries; the same event under other words (IoU >= 0.5) is none."""
        known = self._of.get((trace.video, trace.duration_s), {})
        own = trace.windows or ()
        return {window: query for window, query in known.items() if iou_to_windows(window, own) < HIT_IOU}


class FailureJudge:
    """Classifies completions; the first of these that holds is the failure.

    - format: the text is out of its format (``detail``: what departs first, or that the token limit ended it).
    - no_answer: in its format, but without a time that can be read.
    - copied: an answer or anchor that is, to the digit, an example of the prompt, and an answer with IoU below 0.5.
    - other_event: IoU below 0.5 with the truth, and at least 0.5 with another event (``detail``: its query).
    - loose_edges: 0.1 <= IoU < 0.5. The bounds are those of a localization error in Alwassel et al., "Diagnosing
      Error in Temporal Action Detectors" (arXiv 1807.10706); there it is of detections, here of one answer.
    - missed: IoU below 0.1; also a window where there is none, and none where there is one.

    Inversion tasks and samples of unknown truth can only fail in format and answer. ``fallback``: the format of
    traces that do not say theirs; ``templates``: the words of the run's prompts, if not the format's own.
    """

    def __init__(
        self, events: Events, fallback: AnswerFormat | None = None, templates: PromptTemplates | None = None
    ) -> None:
        self.events = events
        self._out_of_format, self._without_time = out_of_format(fallback), without_time(fallback)
        self._copied = copied_example(prompt_examples(templates), fallback)

    def __call__(self, trace: Trace) -> Verdict:
        """The verdict on one completion."""
        group = (trace,)
        for failure, judge in ((Failure.FORMAT, self._out_of_format), (Failure.NO_ANSWER, self._without_time)):
            for _, case in judge(group):
                if case is not None:
                    return Verdict(failure, case)
        if trace.task is not Task.TVG or trace.answer_iou is None or trace.answer_iou >= HIT_IOU:
            return Verdict(None)
        for _, case in self._copied(group):
            if case is not None:
                return Verdict(Failure.COPIED, case)
        query = best_other(trace.spans or (), self.events.others(trace))
        if query is not None:
            return Verdict(Failure.OTHER_EVENT, query)
        return Verdict(Failure.LOOSE_EDGES if trace.answer_iou >= NEAR_IOU else Failure.MISSED)


def best_other(answer: Sequence[Span], others: Mapping[Span, str]) -> str | None:
    """The query of the other event that an answer matches best; None where no window reaches an IoU of 0.5.

    >>> best_other([Span(1.0, 3.0)], {Span(1.0, 2.9): "It spins.", Span(7.0, 9.0): "It falls."})
    'It spins.'
    """
    scored = [(iou(span, window), query) for span in answer for window, query in others.items()]
    best_iou, query = max(scored, key=lambda one: one[0], default=(0.0, ""))
    return query if best_iou >= HIT_IOU else None
