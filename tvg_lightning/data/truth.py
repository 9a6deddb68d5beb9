"""A check, before any weight loads, that the truth of the annotations can be said in the format that is asked for."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from tvg_lightning.data.annotations import jsonl
from tvg_lightning.schema import AnswerFormat, Method, Sample, Task
from tvg_lightning.tasks.inversion import can_invert


def check_trainable(key: str, file: str, samples: Iterable[Sample], form: AnswerFormat) -> None:
    """ValueError for a sample that no answer in this format can be right about, or whose truth is unknown."""
    for sample in samples:
        if sample.windows is None:
            where = f"{key}: {file}:{_location(file, sample)}: sample {sample.sample_id!r}"
            raise ValueError(f"{where} has no true window, so no answer can be rewarded; [] says that there is none")
        if len(sample.windows) > 1 and not form.says_sets:
            raise ValueError(_unsayable(key, file, sample, form, f"has {len(sample.windows)} true windows"))
    check_answerable(key, file, samples, form)


def check_captions(key: str, file: str, samples: Iterable[Sample]) -> None:
    """ValueError where no sample has captions, with which completions are to begin (``grpo.warm_start``)."""
    if not any(sample.captions for sample in samples):
        raise ValueError(
            f'{key}: {file}: no sample has captions, with which grpo.warm_start begins completions: add "captions", a '
            "list of texts on the video's events in order of time, or set grpo.warm_start to null"
        )


def check_answerable(key: str, file: str, samples: Iterable[Sample], form: AnswerFormat) -> None:
    """ValueError for a sample whose event is not in the video, where this format cannot say so."""
    for sample in samples:
        if sample.windows == () and not form.says_none:
            fault = "is about nothing in its video (windows []; null says that it is not known)"
            raise ValueError(_unsayable(key, file, sample, form, fault))


def check_invertible(key: str, file: str, samples: Iterable[Sample], tasks: Collection[Task]) -> None:
    """ValueError where inversions are asked for beside grounding, and no query is about anything in its video.

    >>> check_invertible("data.val[0]", "a.jsonl", [Sample("a", "a.mp4", 9.0, "it rises", windows=())], [Task.TVG])
    """
    inversions = [task for task in tasks if task != Task.TVG]
    known = [sample for sample in samples if sample.windows is not None]
    if inversions and Task.TVG in tasks and known and not any(sample.windows for sample in known):
        raise ValueError(
            f"{key}: {file}: every query is about nothing in its video (windows []), so there is nothing to ask "
            f"{', '.join(inversions)} about: take it out of data.eval_tasks"
        )


def blind_splits(
    key: str, splits: Sequence[tuple[str, Sequence[Sample]]], tasks: Collection[Task], form: AnswerFormat
) -> list[str]:
    """A complaint about every split, a file and its samples, on which an evaluation would measure nothing.

    ValueError where answers in the format cannot say a truth that grounding is held against, or where other tasks
    beside grounding have nothing to ask about.
    """
    blind = []
    for number, (file, samples) in enumerate(splits):
        where = f"data.{key}[{number}].annotations"
        check_answerable(where, file, samples if Task.TVG in tasks else (), form)
        check_invertible(where, file, samples, tasks)
        lack = nothing_to_measure(samples, tasks)
        if lack is not None:
            blind.append(f"{where}: {file} {lack}, so nothing is measured on it")
    return blind


def nothing_to_measure(samples: Iterable[Sample], tasks: Collection[Task]) -> str | None:
    """The lack for which an evaluation of these tasks would measure nothing on the samples; None where there is none.

    >>> nothing_to_measure([Sample("a", "a.mp4", 9.0, "it rises", windows=())], [Task.VERB_COMPLETION])
    'holds no true window to ask verb_completion about'
    """
    known = [sample for sample in samples if sample.windows is not None]
    if not known:
        return "holds no true window"
    if Task.TVG in tasks or any(can_invert(sample) for sample in known):
        return None
    lack = "no query with a verb" if any(sample.windows for sample in known) else "no true window"
    return f"holds {lack} to ask {', '.join(tasks)} about"


def _unsayable(key: str, file: str, sample: Sample, form: AnswerFormat, fault: str) -> str:
    return (
        f"{key}: {file}:{_location(file, sample)}: sample {sample.sample_id!r} {fault}, which no answer in the format "
        f"of data.method {form.method} can say: take data.method {Method.TIMELENS2}, or leave such samples out"
    )


def _location(file: str, sample: Sample) -> int | str:
    """The line of a sample, or its place in a list."""
    return next((r.location for r in jsonl.records(Path(file)) if r.sample_id == sample.sample_id), "?")
