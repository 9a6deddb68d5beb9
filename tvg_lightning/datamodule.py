"""The LightningDataModule: which questions are asked in training, and on which splits the policy is evaluated."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import lightning as L
from torch.utils.data import DataLoader, Dataset

from tvg_lightning.data.annotations import jsonl
from tvg_lightning.data.annotations.report import ReadReport
from tvg_lightning.data.batches import Batches, Sharding, TrainingLoader, batches_in_epoch, evaluation_loader
from tvg_lightning.data.frame_cache import FrameCache
from tvg_lightning.data.items import EvaluationItems, Item, ItemMaker, Target, TargetItems, TrainingItems
from tvg_lightning.data.video import VideoSampling
from tvg_lightning.schema import Method, Sample, Task
from tvg_lightning.tasks.mixture import Mixture
from tvg_lightning.traces import read_traces


@dataclass(frozen=True)
class Split:
    """An annotated set to evaluate on; ``name`` stands before its figures. ``limit`` takes the first so many samples."""

    name: str
    annotations: str
    limit: int | None = None

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise ValueError(f'data: the split name "{self.name}" must be a word without a slash')
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"data: the limit of split {self.name} must be at least 1, not {self.limit}")


@dataclass(frozen=True)
class DataPlan:
    """What training wants now, where it differs from the datamodule's own settings.

    num_batches None: as many as show every sample once. targets: a file of traces whose texts are to be learned.
    """

    batch_size: int
    mixture: Mixture
    first_epoch: int = 0
    num_batches: int | None = None
    targets: Path | None = None


class Planner(Protocol):
    """The side of a training module that the datamodule asks."""

    needs_targets: bool

    def data_plan(self) -> DataPlan | None: ...


class TVGDataModule(L.LightningDataModule):
    """Mixes grounding and inversion tasks by probability; reads the project's own JSONL annotations.

    targets: a file of traces (harvested or written by a teacher) for SFT outside of a staged run.
    eval_tasks: which tasks are evaluated; inversion tasks are asked about the true segments.
    """

    def __init__(
        self,
        videos: str,
        train: str | None = None,
        val: Sequence[Split] = (),
        test: Sequence[Split] = (),
        predict: str | None = None,
        targets: str | None = None,
        method: Method = Method.TAR_TVG,
        mixture: Mixture = Mixture(),  # noqa: B008  # frozen
        sampling: VideoSampling = VideoSampling(),  # noqa: B008  # frozen
        batch_size: int = 8,
        eval_batch_size: int = 16,
        eval_tasks: Sequence[Task] = (Task.TVG,),
        num_workers: int = 0,
        cache: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, size in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size)):
            if size < 1:
                raise ValueError(f"data.{name} must be at least 1, not {size}")
        self.videos, self.train, self.val, self.test, self.predict = Path(videos), train, val, test, predict
        self.targets, self.method, self.mixture, self.sampling = targets, method, mixture, sampling
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.eval_tasks, self.num_workers, self.cache, self.seed = tuple(eval_tasks), num_workers, cache, seed
        self.reports: list[ReadReport] = []  # what was read, clipped and refused, file by file
        self._samples: dict[str, tuple[Sample, ...]] = {}

    # ---- reading: every file is read, and every complaint made, before any weight loads

    @property
    def evaluation_splits(self) -> list[str]:
        """Names of the splits that the coming validation or test runs on, in the loaders' order."""
        return [split.name for split in self._splits()]

    def setup(self, stage: str) -> None:
        if not self.videos.is_dir():
            raise ValueError(
                f"data.videos: there is no folder {self.videos}. For the embedded benchmark run "
                "`python -m tvg_lightning render --out data/moving_shapes` first"
            )
        wanted = [split.annotations for split in self._splits()]
        if stage == "fit":
            if self.train is None:
                raise ValueError("data.train: fit needs a file of annotations")
            wanted.append(self.train)
        if stage == "predict":
            if self.predict is None:
                raise ValueError("data.predict: predict needs a file of annotations (windows are not needed)")
            wanted.append(self.predict)
        for path in wanted:
            if path not in self._samples:
                result = jsonl.read(path)
                self._samples[path] = result.samples
                self.reports.append(result.report)
                if not result.samples:
                    raise ValueError(f"{path}: no sample can be used; {result.report}")

    def _splits(self) -> Sequence[Split]:
        assert self.trainer is not None
        return self.test if self.trainer.testing else self.val if not self.trainer.predicting else ()

    # ---- loaders

    def train_dataloader(self) -> TrainingLoader:
        trainer = self.trainer
        assert trainer is not None and self.train is not None
        planner: Planner = trainer.lightning_module  # type: ignore[assignment]
        default_targets = Path(self.targets) if self.targets is not None and planner.needs_targets else None
        plan = planner.data_plan() or DataPlan(
            self.batch_size, self.mixture, first_epoch=trainer.current_epoch, targets=default_targets
        )
        if planner.needs_targets and plan.targets is None:
            raise ValueError("data.targets: SFT needs a file of traces to learn from (see `python -m tvg_lightning harvest`)")
        items = self._training_items(plan)
        sharding = self._sharding()
        num_batches = plan.num_batches or batches_in_epoch(len(items), plan.batch_size, sharding.world_size)
        batches = Batches(len(items), num_batches, plan.batch_size, plan.first_epoch, self.seed, sharding)
        return TrainingLoader(items, batches, self.num_workers)

    def _training_items(self, plan: DataPlan) -> TrainingItems | TargetItems:
        assert self.train is not None
        samples = self._samples[self.train]
        if plan.targets is None:
            return TrainingItems(samples, self._maker(), plan.mixture, self.seed)
        by_id = {sample.sample_id: sample for sample in samples}
        targets = []
        for trace in read_traces(plan.targets):
            if trace.sample_id not in by_id:
                raise ValueError(f'{plan.targets}: sample "{trace.sample_id}" is not in {self.train}')
            targets.append(Target(by_id[trace.sample_id], trace.text))
        if not targets:
            raise ValueError(f"{plan.targets}: there is nothing to learn from; harvest with a milder rule or for longer")
        return TargetItems(targets, self._maker())

    def num_train_samples(self) -> int:
        """Samples of the training split, for stages counted in epochs."""
        assert self.train is not None
        return len(self._samples[self.train])

    def val_dataloader(self) -> list[DataLoader[Item]]:
        return [self._evaluation_loader(split) for split in self.val]

    def test_dataloader(self) -> list[DataLoader[Item]]:
        return [self._evaluation_loader(split) for split in self.test]

    def predict_dataloader(self) -> DataLoader[Item]:
        assert self.predict is not None
        items = EvaluationItems(self._samples[self.predict], (Task.TVG,), self._maker())
        return self._loader(items)

    def _evaluation_loader(self, split: Split) -> DataLoader[Item]:
        samples = self._samples[split.annotations][: split.limit]
        return self._loader(EvaluationItems(samples, self.eval_tasks, self._maker()))

    def _loader(self, items: Dataset[Item]) -> DataLoader[Item]:
        return evaluation_loader(items, self.eval_batch_size, self.num_workers, self._sharding())

    def _maker(self) -> ItemMaker:
        cache = FrameCache(Path(self.cache) if self.cache is not None else None)
        return ItemMaker(self.videos, self.method, self.sampling, cache)

    def _sharding(self) -> Sharding:
        assert self.trainer is not None
        if self.trainer.world_size > 1 and self.trainer._accelerator_connector.use_distributed_sampler:
            raise ValueError("trainer.use_distributed_sampler must be false: the datamodule shards its batches itself")
        return Sharding(self.trainer.global_rank, self.trainer.world_size)
