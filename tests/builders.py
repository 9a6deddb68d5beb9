"""What many tests need one of: a trace that is worth learning, files of traces and of annotations."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from tvg_lightning.schema import Span, Task
from tvg_lightning.traces import Trace, TraceWriter

QUERY = "The red circle rises."
GOOD_TRACE = Trace(
    stage="explore",
    step=0,
    epoch=0,
    sample_id="s1",
    video="a.mp4",
    task=Task.TVG,
    query=QUERY,
    windows=(Span(10.0, 20.0),),
    duration_s=40.0,
    text="good",
    follows_format=True,
    anchors=(Span(6.0, 20.0), Span(10.0, 18.0)),  # IoU 10/14 and 0.8
    spans=(Span(10.0, 19.0),),  # IoU 0.9
    is_set=False,
    anchor_ious=(),
    answer_iou=None,
    rewards={},
    reward=0.0,
    advantage=0.0,
    num_tokens=1,
    group=0,
    rollout=0,
)


def write_traces(path: Path, traces: Iterable[Trace]) -> Path:
    """A file of traces, given back."""
    with TraceWriter(path) as writer:
        writer.write(traces)
    return path


def write_annotations(
    path: Path, ids: Sequence[str], windows: Sequence[Sequence[float]] | None = ((1.0, 2.0),)
) -> Path:
    """A file of the project's own annotations, one video of 9 s a sample, given back."""
    lines = [{"id": i, "video": f"{i}.mp4", "query": QUERY, "duration": 9.0, "windows": windows} for i in ids]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
