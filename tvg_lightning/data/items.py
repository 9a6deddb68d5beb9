"""From a sample to what the policy is asked: task, prompt, frames, and what its rewards must know."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch.utils.data import Dataset

from tvg_lightning.data.frame_cache import FrameCache
from tvg_lightning.data.video import VideoClip, VideoSampling
from tvg_lightning.prompts import PromptTemplates, grounding_prompt, inversion_prompt
from tvg_lightning.schema import Method, Prompt, Sample, Span, Task
from tvg_lightning.tasks.inversion import task_for, true_segment
from tvg_lightning.tasks.mixture import Mixture
from tvg_lightning.tasks.verbs import remove_first_verb, verb_lemmas


@dataclass(frozen=True, slots=True)
class Item:
    """One question about one video. ``position`` names it within the run: the same on every rank layout."""

    sample: Sample
    task: Task
    prompt: Prompt
    clip: VideoClip
    query_verbs: tuple[str, ...]  # dictionary forms of the query's verbs
    position: int
    target: str | None = None  # the completion to learn, for SFT
    is_repeated: bool = False  # asked only to keep the ranks in step: its answer does not count


@dataclass(frozen=True, slots=True)
class Draw:
    """Which sample comes next: number ``index``, in ``epoch``, as question ``position`` of the stage."""

    epoch: int
    index: int
    position: int


@dataclass(frozen=True, slots=True)
class ItemMaker:
    """Reads the frames and writes the prompt of a (sample, task) pair."""

    videos: Path
    method: Method
    sampling: VideoSampling
    cache: FrameCache
    templates: PromptTemplates | None = None  # None: the method's own words

    def make(self, sample: Sample, task: Task, position: int, target: str | None = None) -> Item:
        """An inversion task sees the true segment only; grounding sees the whole (possibly cut) video."""
        task = task_for(sample, task)
        segment = sample.cut if task == Task.TVG else _in_file(sample, true_segment(sample))
        clip = self.cache.get_or_read(self.videos / sample.video, self.sampling, segment)
        verbs = verb_lemmas(sample.query) if task != Task.TVG else ()
        return Item(sample, task, self._prompt(sample, task), clip, verbs, position, target)

    def _prompt(self, sample: Sample, task: Task) -> Prompt:
        if task == Task.TVG:
            return grounding_prompt(self.method, sample.query, self.templates)
        gap = remove_first_verb(sample.query) if task == Task.VERB_COMPLETION else None
        return inversion_prompt(task, gap, self.templates)


class TrainingItems(Dataset[Item]):
    """Samples with a task drawn from (seed, epoch, index): a resumed or re-sharded run sees the same."""

    def __init__(self, samples: Sequence[Sample], maker: ItemMaker, mixture: Mixture, seed: int) -> None:
        self.samples, self.maker, self.mixture, self.seed = samples, maker, mixture, seed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, draw: Draw) -> Item:  # drawn by our own loader
        task = self.mixture.draw(self.seed, draw.epoch, draw.index)
        return self.maker.make(self.samples[draw.index], task, draw.position)


@dataclass(frozen=True, slots=True)
class Target:
    """A completion to learn, and the sample it answers."""

    sample: Sample
    text: str


class TargetItems(Dataset[Item]):
    """Grounding questions with the completion to learn, for SFT."""

    def __init__(self, targets: Sequence[Target], maker: ItemMaker) -> None:
        self.targets, self.maker = targets, maker

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, draw: Draw) -> Item:
        target = self.targets[draw.index]
        return self.maker.make(target.sample, Task.TVG, draw.position, target.text)


class EvaluationItems(Dataset[Item]):
    """Every sample with every task that can be asked about it."""

    def __init__(self, samples: Sequence[Sample], tasks: Sequence[Task], maker: ItemMaker) -> None:
        self.questions = [(s, task) for task in tasks for s in samples if task_for(s, task) == task]
        self.maker = maker

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, index: int) -> Item:
        is_repeated = index < 0
        index = ~index if is_repeated else index
        sample, task = self.questions[index]
        return replace(self.maker.make(sample, task, index), is_repeated=is_repeated)


def _in_file(sample: Sample, span: Span | None) -> Span | None:
    """A span of the sample's own time line, in the time line of its file."""
    if span is None or sample.cut is None:
        return span
    return Span(span.start_s + sample.cut.start_s, span.end_s + sample.cut.start_s)
