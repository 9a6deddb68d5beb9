"""Difficulty of samples: the IoU of a model's answers with the truth, a teacher's in TVG-R1, else the base model's."""

from collections.abc import Iterable, Iterator

from tvg_lightning.schema import Task
from tvg_lightning.span_sets import answer_iou
from tvg_lightning.traces import Trace


def sample_ious(traces: Iterable[Trace]) -> dict[str, float]:
    """The mean IoU of every sample's grounding answers by sample id; an answer without a span counts 0."""
    return means(answer_ious(traces))


def answer_ious(traces: Iterable[Trace]) -> Iterator[tuple[str, float]]:
    """Sample id and IoU of every grounding answer."""
    for trace in traces:
        if trace.task == Task.TVG and trace.windows is not None:
            yield trace.sample_id, trace_iou(trace)


def trace_iou(trace: Trace) -> float:
    """IoU of a grounding answer whose truth is known."""
    assert trace.windows is not None, "a trace without truth is left out before this"
    return answer_iou(trace.answer, trace.windows)


def means(answers: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The mean of each name's values.

    >>> means([("a", 0.0), ("b", 1.0), ("a", 0.5)])
    {'a': 0.25, 'b': 1.0}
    """
    found: dict[str, list[float]] = {}
    for name, value in answers:
        found.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}
