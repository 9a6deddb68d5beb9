"""``python -m tvg_lightning targets``: the annotations as answers to learn, for SFT without a teacher."""

import sys
from pathlib import Path

from tvg_lightning.answers import answer_text
from tvg_lightning.data.annotations import jsonl
from tvg_lightning.files import refuse_existing
from tvg_lightning.parsing import read_strict
from tvg_lightning.schema import AnswerFormat, Method, MethodName, Sample, Task
from tvg_lightning.traces import Trace, write_traces


def main(annotations: Path, out: Path, method: MethodName = "timelens", videos_outside: bool = False) -> None:
    """Write the true windows of every sample as an answer alone, in the format of a method.

    A sample whose windows the format cannot say, or whose window is too short for the format's decimals, is left out;
    so is one whose truth is unknown.

    Args:
        annotations: the training set in the project's own JSONL.
        out: file of traces to write; give it to data.targets.
        method: the format; one that asks for a thought is learned without it, under data.thought false.
        videos_outside: accept videos outside of the folder of videos (absolute, or with ..); see docs/data.md.
    """
    refuse_existing(out)
    form = AnswerFormat(Method(method), thought=False)
    samples = jsonl.read(annotations, videos_outside).samples
    traces = [trace for sample in samples if (trace := _target(sample, form)) is not None]
    if not traces:
        raise ValueError(f"{annotations}: none of {len(samples)} samples has windows that data.method {method} can say")
    write_traces(out, traces)
    sys.stdout.write(
        f"{len(traces)} answers in {out}; {len(samples) - len(traces)} samples left out, whose truth is unknown or "
        f"cannot be said in the format of {method}\n"
    )


def _target(sample: Sample, form: AnswerFormat) -> Trace | None:
    if sample.windows is None:
        return None
    try:
        text = answer_text(sample.windows, form)
    except ValueError:
        return None
    answer = read_strict(text, form)
    if not answer.follows_format:
        return None
    return Trace.of(
        sample,
        Task.TVG,
        answer,
        text,
        stage="targets",
        step=0,
        epoch=0,
        rewards={},
        reward=0.0,
        advantage=0.0,
        num_tokens=0,
        group=0,
        rollout=0,
        form=form,
    )
