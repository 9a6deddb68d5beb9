"""The LightningDataModule: which questions are asked in training, and which in evaluation."""

import logging
from collections.abc import Sequence
from pathlib import Path

import lightning as L
import torch

from tvg_lightning.data.annotations.report import ReadReport
from tvg_lightning.data.bad_videos import BadVideos
from tvg_lightning.data.batches import Batches, EvaluationLoader, Sharding, TrainingLoader, batches_in_epoch
from tvg_lightning.data.difficulty import DifficultyBand, OnlineDifficulty
from tvg_lightning.data.item_reader import ItemReader
from tvg_lightning.data.items import EvaluationQuestions, Item, ItemMaker, TargetQuestions, TrainingQuestions
from tvg_lightning.data.presence import missing_videos
from tvg_lightning.data.reading_settings import ReadingSettings
from tvg_lightning.data.sample_weights import weights_of
from tvg_lightning.data.training_set import TrainingSet
from tvg_lightning.data.truth import blind_splits, check_captions, check_trainable
from tvg_lightning.data.video import FrameSettings
from tvg_lightning.data.video_files import NO_MAP, locate, read_video_map
from tvg_lightning.data.workers.pool import ClipPool
from tvg_lightning.data_plan import DataPlan, Planner
from tvg_lightning.parallel import merged_over_ranks
from tvg_lightning.prompts import CleanQuery, read_templates
from tvg_lightning.sample_files import SampleFiles, Split
from tvg_lightning.schema import AnswerFormat, Method, MethodName, Sample, Task, TaskName
from tvg_lightning.tasks.mixture import Mixture

log = logging.getLogger(__name__)


class TVGDataModule(L.LightningDataModule):
    """Mixes grounding and inversion tasks by probability; reads the project's own JSONL annotations.

    Args:
        videos: the folder of the videos.
        train: annotations to train on, a .jsonl (default: none, for validate, test and predict).
        val: splits to validate on, each a name and a .jsonl of annotations.
        test: splits to test on, each a name and a .jsonl of annotations.
        predict: queries to answer, a .jsonl; windows are not needed (default: none, for fit, validate and test).
        video_map: a JSON file that says where videos lie that are not at their names, as ``data videos --map`` writes
            it (default: all lie at their names).
        videos_outside: accept annotations whose videos lie outside of that folder, by absolute paths or by "..".
        targets: a file of traces, harvested or written by a teacher, for SFT outside of a staged run (default: none).
        method: the format of the answers, and with it the prompt.
        thought: a thought stands before the answers (default: as the method has it).
        prompts: a YAML file with other words for the questions, by the keys of ``prompts.PromptTemplates`` (default:
            the method's words).
        video_first: the video stands before the words of the question; false: behind them.
        clean_query: taken off the sentence: its full_stop, the dots at both of its ends, or none.
        time_as_text: the time of every pair of frames is written before it, for grounding (TimeLens).
        snap_windows: GRPO's true windows are widened to the times of the frames that are seen; evaluation's are not.
        mixture: the share of each task in training.
        frames: the frames that the policy sees, and their sizes.
        difficulty: keep only samples of this band of IoU for the next pass over the training data, GRPO only (default:
            keep all).
        batch_size: questions of a training batch in each process; a stage has its own.
        eval_batch_size: questions answered at a time in evaluation, in each process.
        eval_tasks: the tasks that are evaluated; inversion tasks are asked about the true segments.
        num_workers: processes that read videos; 0 reads them here, where one that hangs or crashes takes the run along.
        prefetch: training batches that the workers read ahead.
        video_timeout_s: a video that takes longer, in seconds, is bad: it goes to bad_videos.jsonl, and another is
            drawn instead.
        max_bad_share: the run stops where a larger share of the training videos is bad.
        cache: a folder for decoded frames (default: none are kept).
        cache_max_gb: disk space that each of the two caches may take, in GiB.
        feature_cache: a folder for what a frozen vision tower makes of frames (default: none is kept).
        seed: seed of the order and the mixture; seed_everything sets it.
    """

    def __init__(
        self,
        videos: str,
        train: str | None = None,
        val: Sequence[Split] = (),
        test: Sequence[Split] = (),
        predict: str | None = None,
        video_map: str | None = None,
        videos_outside: bool = False,
        targets: str | None = None,
        method: MethodName = "tar_tvg",
        thought: bool | None = None,
        prompts: str | None = None,
        video_first: bool = True,
        clean_query: CleanQuery = "full_stop",
        time_as_text: bool = False,
        snap_windows: bool = False,
        mixture: Mixture = Mixture(),  # noqa: B008  # frozen
        frames: FrameSettings = FrameSettings(),  # noqa: B008  # frozen
        difficulty: DifficultyBand | None = None,
        batch_size: int = 8,
        eval_batch_size: int = 16,
        eval_tasks: Sequence[TaskName] = ("tvg",),
        num_workers: int = 0,
        prefetch: int = 2,
        video_timeout_s: float = 60.0,
        max_bad_share: float = 0.5,
        cache: str | None = None,
        cache_max_gb: float = 50.0,
        feature_cache: str | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, size in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size)):
            if size < 1:
                raise ValueError(f"data.{name} must be at least 1, not {size}")
        for key, splits in (("val", val), ("test", test)):
            names = [split.name for split in splits]
            if len(set(names)) < len(names):
                raise ValueError(f"data.{key}: two splits have the same name: {', '.join(names)}")
        if not eval_tasks or len(set(eval_tasks)) < len(eval_tasks):
            raise ValueError(f"data.eval_tasks must name at least one task, and none twice, not {list(eval_tasks)}")
        self.videos, self.train, self.val, self.test, self.predict = Path(videos), train, val, test, predict
        self.targets, self.mixture, self.frames = targets, mixture, frames
        self.form = AnswerFormat(Method(method), thought)
        self.video_map = video_map
        self.video_first, self.clean_query = video_first, clean_query
        self.time_as_text, self.snap_windows = time_as_text, snap_windows
        self.difficulty, self.batch_size, self.eval_batch_size = difficulty, batch_size, eval_batch_size
        self.eval_tasks, self.seed = tuple(map(Task, eval_tasks)), seed
        self.reading = ReadingSettings(
            num_workers, prefetch, video_timeout_s, max_bad_share, cache, cache_max_gb, feature_cache
        )
        self.templates = None if prompts is None else read_templates(Path(prompts), self.form)
        self._files = SampleFiles(videos_outside)
        self.training_set: TrainingSet | None = None  # of the stage that runs now
        self._bad: BadVideos | None = None
        self._reader: ItemReader | None = None
        self._video_map = NO_MAP  # read in setup

    # ---- reading: every file is read, and every complaint made, before any weight loads

    @property
    def evaluation_splits(self) -> list[str]:
        """Names of the splits that the coming validation or test runs on, in the loaders' order."""
        return [split.name for split in self._splits()]

    @property
    def reports(self) -> list[ReadReport]:
        """Reports on the files that were read: what was clipped and refused."""
        return self._files.reports

    def kinds_of(self, split: str) -> list[str]:
        """The kinds of questions of a split that is evaluated now; none where there are not several."""
        kinds = sorted({sample.kind for sample in self.samples_of(split)} - {""})
        return kinds if len(kinds) > 1 else []

    def samples_of(self, split: str) -> Sequence[Sample]:
        """The samples of a split that is evaluated now."""
        (found,) = (one for one in self._splits() if one.name == split)
        return self._files.of(found)

    def setup(self, stage: str) -> None:
        if not self.videos.is_dir():
            raise ValueError(
                f"data.videos: there is no folder {self.videos}. For the embedded benchmark run "
                "`python -m tvg_lightning render --out data/moving_shapes` first"
            )
        self._video_map = read_video_map("data.video_map", self.video_map, self.videos)
        key = "test" if stage == "test" else "val"
        if stage in ("validate", "test") and not self._splits():
            raise ValueError(f"data.{key}: {stage} needs at least one split")
        for number, split in enumerate(self._splits()):
            self._read(f"data.{key}[{number}].annotations", split.annotations, split.limit)
        self._check_truth(stage, key)
        if stage == "fit":
            if self.train is None:
                raise ValueError("data.train: fit needs a file of annotations")
            self._read("data.train", self.train)
            self._check_training(self.trainer.lightning_module)  # type: ignore[arg-type, union-attr]
        if stage == "predict":
            if self.predict is None:
                raise ValueError("data.predict: predict needs a file of annotations (windows are not needed)")
            self._read("data.predict", self.predict)
            num_absent = sum(sample.windows == () for sample in self._files[self.predict])
            if num_absent and not self.form.says_none and self.trainer.global_rank == 0:  # type: ignore[union-attr]
                words = "data.predict: %d samples have windows [], that is, not in the video; write null if unknown"
                log.warning(words, num_absent)
        self._bad = self._bad_videos(stage)

    def _check_training(self, planner: Planner) -> None:
        """Refuse training data that any stage of the run could not use."""
        if self.targets is not None and not Path(self.targets).is_file():
            raise ValueError(f"data.targets: there is no file {self.targets}")
        if planner.needs_windows:
            self._check_windows()
        if planner.needs_captions:
            assert self.train is not None
            check_captions("data.train", self.train, self._files[self.train])
        if planner.needs_targets and self.targets is None:
            raise ValueError(
                "data.targets: SFT needs a file of traces to learn from; `python -m tvg_lightning harvest` writes one"
            )
        if planner.needs_targets:
            self._files.targets(Path(self.targets), self.train, self.form)  # type: ignore[arg-type]

    def _check_truth(self, stage: str, key: str) -> None:
        """Say which splits have nothing to measure; ValueError where no split of an evaluation has."""
        assert self.trainer is not None
        splits = [(split.annotations, self._files.of(split)) for split in self._splits()]
        blind = blind_splits(key, splits, self.eval_tasks, self.form)
        if blind and len(blind) == len(splits) and stage in ("validate", "test"):
            raise ValueError(f"{blind[0]}: take a split with windows; predict answers without")
        if self.trainer.global_rank == 0:
            for words in blind:
                log.warning(words)

    def _bad_videos(self, stage: str) -> BadVideos:
        """A fit goes on from its log; elsewhere every video is tried, and what is bad is named in the answers."""
        if stage != "fit":
            return BadVideos(None, ())
        assert self.trainer is not None and self.train is not None
        names = {sample.video for sample in self._files[self.train]}
        videos = {str(locate(self.videos, name, self._video_map)) for name in names}
        log = Path(self.trainer.default_root_dir) / "bad_videos.jsonl"
        return BadVideos(log, videos, self.reading.max_bad_share)

    def teardown(self, stage: str) -> None:
        """The workers end with the run."""
        if self._reader is not None:
            self._reader.pool.close()
            self._reader = None

    def on_exception(self, exception: BaseException) -> None:
        self.teardown("")

    def _read(self, key: str, path: str, limit: int | None = None) -> None:
        """Read the samples of a file, and check that the videos of those that are wanted are there."""
        assert self.trainer is not None
        self._files.read(key, path)
        names = (sample.video for sample in self._files[path][:limit])
        words = missing_videos(key, self.videos, names, self._video_map)
        if words is not None and self.trainer.global_rank == 0:
            log.warning(words)

    def _splits(self) -> Sequence[Split]:
        assert self.trainer is not None
        return self.test if self.trainer.testing else self.val if not self.trainer.predicting else ()

    # ---- loaders

    def transfer_batch_to_device(self, batch: list[Item], device: torch.device, dataloader_idx: int) -> list[Item]:
        """Items stay where they are: the policy moves what it reads, as bytes."""
        return batch

    def train_dataloader(self) -> TrainingLoader:
        trainer = self.trainer
        assert trainer is not None and self.train is not None
        planner: Planner = trainer.lightning_module  # type: ignore[assignment]
        default_targets = Path(self.targets) if self.targets is not None and planner.needs_targets else None
        plan = planner.data_plan() or DataPlan(self.batch_size, self.mixture, goes_on=True, targets=default_targets)
        questions = self._training_questions(plan)
        sharding = self._sharding()
        num_batches = plan.num_batches or plan.updates_per_batch * batches_in_epoch(
            len(questions), plan.batch_size, sharding.world_size
        )
        difficulty = self._difficulty_of(plan, len(questions), sharding)
        samples = self._files[self.train]
        weights = None if plan.targets is not None else weights_of(self.train, samples, difficulty is not None)
        self.training_set = TrainingSet(samples, self.reader(), plan.mixture, self.seed, sharding, difficulty, weights)
        batches = Batches(
            len(questions),
            num_batches,
            plan.batch_size,
            plan.first_epoch,
            self.seed,
            sharding,
            plan.updates_per_batch,
            difficulty,
            weights,
        )
        first_batch = trainer.current_epoch * num_batches if plan.goes_on else 0
        return TrainingLoader(questions, self.reader(), batches, first_batch)

    def _difficulty_of(self, plan: DataPlan, num_samples: int, sharding: Sharding) -> OnlineDifficulty | None:
        if self.difficulty is None or plan.targets is not None:
            return None
        fewest = plan.batch_size * sharding.world_size
        if num_samples < fewest:
            raise ValueError(f"data.difficulty: {num_samples} samples do not fill one batch of {fewest}")
        return OnlineDifficulty(self.difficulty, num_samples, fewest, merged_over_ranks)

    def _training_questions(self, plan: DataPlan) -> TrainingQuestions | TargetQuestions:
        assert self.train is not None
        if plan.targets is None:
            self._check_windows()
            return TrainingQuestions(self._files[self.train], plan.mixture, self.seed)
        return self._files.targets(plan.targets, self.train, self.form)

    def _check_windows(self) -> None:
        assert self.train is not None
        check_trainable("data.train", self.train, self._files[self.train], self.form)

    def num_train_samples(self) -> int:
        """Samples of the training split, for stages counted in epochs."""
        assert self.train is not None
        return len(self._files[self.train])

    def val_dataloader(self) -> list[EvaluationLoader]:
        return [self._evaluation_loader(split) for split in self.val]

    def test_dataloader(self) -> list[EvaluationLoader]:
        return [self._evaluation_loader(split) for split in self.test]

    def predict_dataloader(self) -> EvaluationLoader:
        assert self.predict is not None
        return self._loader(EvaluationQuestions(self._files[self.predict], (Task.TVG,)))

    def _evaluation_loader(self, split: Split) -> EvaluationLoader:
        return self._loader(EvaluationQuestions(self._files.of(split), self.eval_tasks))

    def _loader(self, questions: EvaluationQuestions) -> EvaluationLoader:
        return EvaluationLoader(questions, self.reader(), self.eval_batch_size, self._sharding())

    # ---- reading videos

    def reader(self) -> ItemReader:
        """The reader of the run's videos: made when it is first needed, for it asks the policy what it reads."""
        if self._reader is None:
            assert self._bad is not None, "setup comes first"
            planner: Planner = self.trainer.lightning_module  # type: ignore[assignment, union-attr]
            words = (self.templates, self.video_first, self.clean_query, self.time_as_text, self.snap_windows)
            maker = ItemMaker(self.videos, self.form, self.frames, *words, self._video_map, side=planner.token_side())
            self._reader = ItemReader(maker, self._pool(), self._bad, self.reading.prefetch)
        return self._reader

    def metrics(self) -> dict[str, float]:
        """Metrics of reading videos, for the log: bad ones, hits of the caches, time waited."""
        metrics = {} if self._reader is None else self._reader.metrics()
        return {f"data/{name}": value for name, value in metrics.items()}

    def _pool(self) -> ClipPool:
        if self.reading.feature_cache is None:
            return self.reading.pool(None)
        trainer = self.trainer
        assert trainer is not None
        planner: Planner = trainer.lightning_module  # type: ignore[assignment]
        tower, dtype = planner.feature_identity()
        return self.reading.pool(
            self.reading.features(tower, dtype, trainer.strategy.root_device, str(trainer.precision))
        )

    def _sharding(self) -> Sharding:
        assert self.trainer is not None
        if self.trainer.world_size > 1 and self.trainer._accelerator_connector.use_distributed_sampler:
            raise ValueError("trainer.use_distributed_sampler must be false: the datamodule shards its batches itself")
        return Sharding(self.trainer.global_rank, self.trainer.world_size)
