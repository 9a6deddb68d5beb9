"""Items made from samples: task, prompt, frames, and what the rewards must know."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tvg_lightning.data.video import FrameSettings
from tvg_lightning.data.video_files import VideoMap, locate
from tvg_lightning.data.workers.pool import Clip
from tvg_lightning.data.workers.worker import ClipRequest
from tvg_lightning.prompts import CleanQuery, PromptTemplates, grounding_prompt, inversion_prompt, with_times
from tvg_lightning.schema import AnswerFormat, Prompt, Sample, Span, Task
from tvg_lightning.spans import snapped
from tvg_lightning.tasks.inversion import task_for, true_segment
from tvg_lightning.tasks.mixture import Mixture
from tvg_lightning.tasks.verbs import remove_first_verb, verb_lemmas


@dataclass(frozen=True, slots=True)
class Draw:
    """The sample that comes next: number ``index``, in ``epoch``, as question ``position`` of the stage."""

    epoch: int
    index: int
    position: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a sample, before anything is read. ``position`` is that of the item to come."""

    sample: Sample
    task: Task
    position: int
    target: str | None = None
    is_repeated: bool = False
    is_rewarded: bool = False  # of training by reward


@dataclass(frozen=True, slots=True)
class Item:
    """One question about one video. ``position`` names it within the run: the same for any number of ranks."""

    sample: Sample
    task: Task
    prompt: Prompt
    clip: Clip
    query_verbs: tuple[str, ...]  # dictionary forms of the query's verbs
    position: int
    target: str | None = None  # the completion to learn, for SFT
    is_repeated: bool = False  # asked only to keep the ranks in step: its answer does not count
    replaces: str | None = None  # the sample drawn here, whose video cannot be read
    error: str | None = None  # why its video cannot be read; the clip is a placeholder then, the answer worth nothing


@dataclass(frozen=True, slots=True)
class ItemMaker:
    """Says which frames a question needs, and puts it into words."""

    videos: Path
    form: AnswerFormat
    frames: FrameSettings
    side: int = field(kw_only=True)  # of a video token, in pixels; the policy says it
    templates: PromptTemplates | None = None  # None: the format's own words
    video_first: bool = True  # before the words, or behind them
    clean_query: CleanQuery = "full_stop"
    time_as_text: bool = False  # the times of the frames, in grounding
    snap_windows: bool = False  # to the times of the frames, where answers are rewarded
    video_map: VideoMap = field(default_factory=dict)  # files of videos that lie elsewhere, by their names

    def request(self, question: Question) -> ClipRequest:
        """Frames of the true segment for an inversion task, of the whole (possibly cut) video for grounding."""
        sample = question.sample
        segment = sample.cut if question.task == Task.TVG else _in_file(sample, true_segment(sample))
        path = str(locate(self.videos, sample.video, self.video_map))
        return ClipRequest(path, self.frames, segment, side=self.side)

    def make(self, question: Question, clip: Clip, error: str | None = None) -> Item:
        """The item of a question whose clip has been read."""
        sample, task = question.sample, question.task
        if self.snap_windows and question.is_rewarded and task == Task.TVG and sample.windows is not None:
            sample = replace(sample, windows=tuple(snapped(window, clip.times_s) for window in sample.windows))
        verbs = verb_lemmas(sample.query) if task != Task.TVG else ()
        prompt = replace(self._prompt(sample, task), video_first=self.video_first)
        return Item(
            sample, task, prompt, clip, verbs, question.position, question.target, question.is_repeated, error=error
        )

    def _prompt(self, sample: Sample, task: Task) -> Prompt:
        if task == Task.TVG:
            prompt = grounding_prompt(self.form, sample.query, self.templates, self.clean_query)
            return with_times(prompt) if self.time_as_text else prompt
        gap = remove_first_verb(sample.query) if task == Task.VERB_COMPLETION else None
        return inversion_prompt(task, gap, self.templates)


class TrainingQuestions:
    """Samples with a task drawn from (seed, epoch, index): a resumed or re-sharded run sees the same."""

    def __init__(self, samples: Sequence[Sample], mixture: Mixture, seed: int) -> None:
        self.samples, self.mixture, self.seed = samples, mixture, seed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, draw: Draw) -> Question:
        sample = self.samples[draw.index]
        task = task_for(sample, self.mixture.draw(self.seed, draw.epoch, draw.index))
        return Question(sample, task, draw.position, is_rewarded=True)


@dataclass(frozen=True, slots=True)
class Target:
    """A completion to learn, and the sample it answers."""

    sample: Sample
    text: str


class TargetQuestions:
    """Grounding questions with the completion to learn, for SFT."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, draw: Draw) -> Question:
        target = self.targets[draw.index]
        return Question(target.sample, Task.TVG, draw.position, target.text)


class EvaluationQuestions:
    """Every sample with every task that can be asked about it."""

    def __init__(self, samples: Sequence[Sample], tasks: Sequence[Task]) -> None:
        self.pairs = [(s, task) for task in tasks for s in samples if task_for(s, task) == task]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Question:
        """``~index`` asks for the same question as one that is repeated."""
        is_repeated = index < 0
        index = ~index if is_repeated else index
        sample, task = self.pairs[index]
        return Question(sample, task, index, is_repeated=is_repeated)


def _in_file(sample: Sample, span: Span | None) -> Span | None:
    """A span of the sample's own time line, in the time line of its file."""
    if span is None or sample.cut is None:
        return span
    return Span(span.start_s + sample.cut.start_s, span.end_s + sample.cut.start_s)
