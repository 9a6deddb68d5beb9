"""A grounding sample turned round (Invert4TVG, arXiv 2508.07388): true segment in, the query's action out."""

from tvg_lightning.schema import Sample, Span, Task
from tvg_lightning.spans import is_usable
from tvg_lightning.tasks.verbs import verbs


def can_invert(sample: Sample) -> bool:
    """True where the sample can be an inversion task: its query has a verb and one of its windows can be shown.

    >>> can_invert(Sample("a", "a.mp4", 10.0, "the red circle", (Span(1.0, 2.0),)))
    False
    """
    return true_segment(sample) is not None and bool(verbs(sample.query))


def task_for(sample: Sample, drawn: Task) -> Task:
    """The task that a sample becomes: the drawn one, or TVG where it cannot be inverted (as in the release).

    >>> task_for(Sample("a", "a.mp4", 10.0, "the red circle", (Span(1.0, 2.0),)), Task.ACTION_RECOGNITION)
    <Task.TVG: 'tvg'>
    """
    return drawn if drawn is Task.TVG or can_invert(sample) else Task.TVG


def true_segment(sample: Sample) -> Span | None:
    """The stretch of video that an inversion task shows: the longest true window, clipped to the video.

    Reconstruction where there are several windows: the release's data has one. None where no window can be
    used.

    >>> true_segment(Sample("a", "a.mp4", 10.0, "q", (Span(1.0, 2.0), Span(7.0, 10.4))))
    Span(start_s=7.0, end_s=10.0)
    """
    clipped = [Span(max(0.0, window.start_s), min(window.end_s, sample.duration_s)) for window in sample.windows or ()]
    usable = [window for window in clipped if is_usable(window)]
    return max(usable, key=lambda window: window.end_s - window.start_s, default=None)
