"""Files of samples and of targets, by the keys under which a run names them."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from tvg_lightning.data.annotations import jsonl
from tvg_lightning.data.annotations.report import ReadReport
from tvg_lightning.data.items import Target, TargetQuestions
from tvg_lightning.schema import AnswerFormat, Sample, Task
from tvg_lightning.traces import read_traces

_TAKEN = frozenset(dir(nn.ModuleDict()))  # the metrics of the splits are kept in one, by the splits' names


@dataclass(frozen=True)
class Split:
    """An annotated set to evaluate on.

    Args:
        name: name of the split; it stands before its metrics.
        annotations: a .jsonl of annotations.
        limit: only the first so many samples (default: all).
    """

    name: str
    annotations: str
    limit: int | None = None

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or "." in self.name or self.name in _TAKEN:
            raise ValueError(
                f'data: the split name "{self.name}" must be a word without slash or full stop, and none of '
                "PyTorch's own, such as train: take another one"
            )
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"data: the limit of split {self.name} must be at least 1, not {self.limit}")


class SampleFiles:
    """The annotation files of a run, each read once. ``reports``: what was read, clipped and refused, file by file."""

    def __init__(self, videos_outside: bool) -> None:
        self.reports: list[ReadReport] = []
        self._videos_outside = videos_outside
        self._samples: dict[str, tuple[Sample, ...]] = {}

    def read(self, key: str, path: str) -> None:
        """Read the file that stands under a key, if that is not done; ValueError, with the key, where it is no use."""
        if path in self._samples:
            return
        try:
            result = jsonl.read(path, self._videos_outside)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error
        self.reports.append(result.report)
        if not result.samples:
            raise ValueError(f"{key}: no sample can be used; {result.report.summary()}")
        self._samples[path] = result.samples

    def __getitem__(self, path: str) -> tuple[Sample, ...]:
        """The samples of a file that has been read."""
        return self._samples[path]

    def of(self, split: Split) -> tuple[Sample, ...]:
        """The samples of a split whose file has been read."""
        return self[split.annotations][: split.limit]

    def targets(self, path: Path, train: str, form: AnswerFormat) -> TargetQuestions:
        """The texts of a file of grounding traces, each with its sample of the file ``train``.

        ``form``: the format in which the run asks; a trace that tells another one is refused.
        """
        by_id = {sample.sample_id: sample for sample in self[train]}
        targets = []
        for trace in read_traces(path):
            if trace.sample_id not in by_id:
                raise ValueError(f'{path}: sample "{trace.sample_id}" is not in {train}')
            if trace.task != Task.TVG:
                raise ValueError(
                    f'{path}: the text about sample "{trace.sample_id}" answers {trace.task}, and SFT asks for '
                    "grounding: take a file that `python -m tvg_lightning harvest` made of these traces"
                )
            if trace.form is not None and not trace.form.asks_as(form):
                raise ValueError(
                    f'{path}: the text about sample "{trace.sample_id}" is in the format of {trace.form}, and the run '
                    f"asks for that of {form}: set data.method and data.thought as they were in the run of the traces"
                )
            targets.append(Target(by_id[trace.sample_id], trace.text))
        if not targets:
            raise ValueError(f"{path}: there is nothing to learn from; harvest with a milder rule or for longer")
        return TargetQuestions(targets)
