"""The training samples of a stage, as GRPO's step asks for them: drawn by a key, read again, reported as answered."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, repeat

from tvg_lightning.data.bad_videos import replacements
from tvg_lightning.data.batches import Sharding
from tvg_lightning.data.difficulty import OnlineDifficulty
from tvg_lightning.data.item_reader import Reader
from tvg_lightning.data.items import Draw, Item, Question, TrainingQuestions
from tvg_lightning.data.sample_weights import SampleWeights
from tvg_lightning.schema import Sample, Task
from tvg_lightning.tasks.mixture import Mixture


@dataclass(frozen=True)
class TrainingSet:
    """Samples, the tasks that they become, and what reads their videos.

    ``sharding``: which process draws. ``difficulty``: which samples each pass keeps, where that follows from the
    answers. ``weights``: how likely each sample is drawn beside another.
    """

    samples: Sequence[Sample]
    reader: Reader
    mixture: Mixture = Mixture()  # noqa: RUF009  # frozen
    seed: int = 0
    sharding: Sharding = Sharding()  # noqa: RUF009  # frozen
    difficulty: OnlineDifficulty | None = None
    weights: SampleWeights | None = None

    def draw(self, key: str, count: int) -> list[Item]:
        """``count`` items at random; the same ones for the same key, others on every rank."""
        questions = TrainingQuestions(self.samples, self.mixture, self.seed)
        kept = self.difficulty.kept[-1] if self.difficulty else range(len(questions))
        candidates = []
        for number in range(count):
            digest = hashlib.blake2b(f"{self.seed} {key} {self.sharding.rank} {number}".encode(), digest_size=8)
            position = int.from_bytes(digest.digest(), "big") >> 1
            first = position % len(kept) if self.weights is None else self.weights.pick(kept, position / 2**63)
            order = chain([kept[first]], replacements(kept, first))
            draws = map(partial(Draw, position), order, repeat(position))
            candidates.append(map(questions.__getitem__, draws))
        (items,) = self.reader.training([candidates])
        return items

    def items_again(self, questions: Sequence[tuple[str, Task, int]]) -> list[Item]:
        """The items of (sample id, task, position), which a resumed run must read once more.

        ValueError where the training set has no such sample.
        """
        missing = [name for name, _, _ in questions if name not in self._number_of]
        if missing:
            raise ValueError(
                f'the checkpoint goes on with sample "{missing[0]}", which data.train no longer has: take the same file'
            )
        again = [Question(self.samples[self._number_of[name]], task, position) for name, task, position in questions]
        (items,) = self.reader.training([[iter([question]) for question in again]])
        return items

    def report_ious(self, ious: Mapping[str, float]) -> None:
        """Note how well training has just answered its grounding samples: mean IoU by sample id."""
        if self.difficulty is not None:
            for sample_id, iou in ious.items():
                self.difficulty.report(self._number_of[sample_id], iou)

    def report_unreadable(self, items: Iterable[Item]) -> None:
        """Note the samples whose videos cannot be read, by the items that took their places."""
        if self.difficulty is not None:
            self.difficulty.unreadable.update(self._number_of[i.replaces] for i in items if i.replaces is not None)

    @cached_property
    def _number_of(self) -> dict[str, int]:
        return {sample.sample_id: number for number, sample in enumerate(self.samples)}
