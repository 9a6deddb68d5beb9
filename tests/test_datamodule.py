"""What the datamodule refuses, with the key to change, and which questions its loaders hold."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.builders import GOOD_TRACE, write_annotations, write_traces
from tests.data.test_item_reader import TablePool
from tvg_lightning.data.annotations import jsonl
from tvg_lightning.data.batches import Sharding
from tvg_lightning.data.difficulty import DifficultyBand
from tvg_lightning.data.items import TargetQuestions, TrainingQuestions
from tvg_lightning.data.workers.pool import ClipPool
from tvg_lightning.data_plan import DataPlan
from tvg_lightning.datamodule import TVGDataModule
from tvg_lightning.sample_files import Split
from tvg_lightning.schema import Task
from tvg_lightning.tasks.mixture import Mixture
from tvg_lightning.traces import Trace

TRACE = replace(GOOD_TRACE, sample_id="b", text="to be learned")


class Module:
    """The side of a training module that the datamodule asks."""

    def __init__(self, needs_targets: bool = False, plan: DataPlan | None = None) -> None:
        self.needs_targets, self.needs_windows, self.plan = needs_targets, not needs_targets, plan
        self.needs_captions = False

    def data_plan(self) -> DataPlan | None:
        return self.plan

    def token_side(self) -> int:
        return 32


def trainer(stage: str = "fit", module: Module | None = None, **changes: Any) -> SimpleNamespace:
    """As much of a trainer as a datamodule looks at."""
    settings: dict[str, Any] = {
        "testing": stage == "test",
        "predicting": stage == "predict",
        "lightning_module": module or Module(),
        "current_epoch": 0,
        "world_size": 1,
        "global_rank": 0,
        "default_root_dir": "nowhere",
        "_accelerator_connector": SimpleNamespace(use_distributed_sampler=False),
    }
    return SimpleNamespace(**settings | changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    for name in "abcdex0123":
        (tmp_path / "videos" / f"{name}.mp4").touch()
    write_annotations(tmp_path / "train.jsonl", ["a", "b", "c"])
    write_annotations(tmp_path / "val.jsonl", ["d", "e"])
    return tmp_path


def datamodule(folder: Path, attached: SimpleNamespace | None = None, **changes: Any) -> TVGDataModule:
    settings: dict[str, Any] = {"videos": str(folder / "videos"), "train": str(folder / "train.jsonl")}
    made = TVGDataModule(**settings | changes)
    made.trainer = attached or trainer()  # type: ignore[assignment]
    return made


# ---- what is refused


@pytest.mark.parametrize(
    ("stage", "changes", "words"),
    [
        ("fit", {"videos": "nowhere"}, r"data\.videos: there is no folder nowhere"),
        ("fit", {"train": None}, r"data\.train: fit needs a file"),
        ("fit", {"train": "missing.jsonl"}, r"data\.train: missing\.jsonl: no such file"),
        ("fit", {"targets": "missing.jsonl"}, r"data\.targets: there is no file missing\.jsonl"),
        ("fit", {"val": [Split("v", "missing.jsonl")]}, r"data\.val\[0\]\.annotations: missing\.jsonl"),
        ("validate", {}, r"data\.val: validate needs at least one split"),
        ("test", {}, r"data\.test: test needs at least one split"),
        ("test", {"test": [Split("t", "missing.jsonl")]}, r"data\.test\[0\]\.annotations: missing\.jsonl"),
        ("predict", {}, r"data\.predict: predict needs a file"),
        ("predict", {"predict": "missing.jsonl"}, r"data\.predict: missing\.jsonl"),
    ],
)
def test_what_is_missing_is_named_by_its_key(folder: Path, stage: str, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        datamodule(folder, trainer(stage), **changes).setup(stage)


def test_an_empty_file_is_refused(folder: Path) -> None:
    (folder / "train.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match=r"data\.train: no sample can be used; .*train\.jsonl: 0 read"):
        datamodule(folder).setup("fit")


def test_a_file_of_refused_lines_says_why(folder: Path) -> None:
    write_annotations(folder / "train.jsonl", ["a"], windows=((5.0, 2.0),))
    with pytest.raises(ValueError, match=r"data\.train: .*window is reversed: 1"):
        datamodule(folder).setup("fit")


@pytest.mark.parametrize(
    ("stage", "key"),
    [
        ("fit", "train"),
        ("fit", "val[0].annotations"),
        ("validate", "val[0].annotations"),
        ("test", "test[0].annotations"),
        ("predict", "predict"),
    ],
)
def test_videos_outside_of_the_folder_are_refused_unless_allowed(folder: Path, stage: str, key: str) -> None:
    outside = write_annotations(folder / "outside.jsonl", ["a", "../../etc/passwd"])
    given = [Split("a", str(outside))] if "[" in key else str(outside)
    name = key.partition("[")[0]
    with pytest.raises(ValueError, match=rf"data\.{re.escape(key)}: .*outside\.jsonl:2: the video .*videos_outside"):
        datamodule(folder, trainer(stage), **{name: given}).setup(stage)
    datamodule(folder, trainer(stage), videos_outside=True, **{name: given}).setup(stage)


@pytest.mark.parametrize(
    ("stage", "key"),
    [("fit", "train"), ("fit", "val[0].annotations"), ("test", "test[0].annotations"), ("predict", "predict")],
)
def test_a_folder_with_none_of_the_videos_is_refused(folder: Path, stage: str, key: str) -> None:
    elsewhere = str(write_annotations(folder / "elsewhere.jsonl", ["f", "g"]))
    given = [Split("a", elsewhere)] if "[" in key else elsewhere
    words = rf"^data\.videos: none of the 2 files that data\.{re.escape(key)} names is there, e\.g\. .*/videos/f\.mp4$"
    with pytest.raises(ValueError, match=words):
        datamodule(folder, trainer(stage), **{key.partition("[")[0]: given}).setup(stage)


def test_videos_that_are_missing_are_counted_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In the part of a split that is looked at, by the first process alone."""
    some = str(write_annotations(folder / "some.jsonl", ["a", "f", "g"]))
    words = "data.videos: 2 of the 3 files that data.train names are not there"
    for rank, count in ((1, 0), (0, 1)):
        datamodule(folder, trainer(global_rank=rank), train=some, val=[Split("v", some, limit=1)]).setup("fit")
        assert caplog.text.count("data.videos") == caplog.text.count(words) == count


@pytest.mark.parametrize("tasks", [(), ("tvg", "tvg")])
def test_tasks_of_evaluation(folder: Path, tasks: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"data\.eval_tasks must name at least one task, and none twice"):
        datamodule(folder, eval_tasks=tasks)


@pytest.mark.parametrize("key", ["batch_size", "eval_batch_size"])
def test_batch_sizes(folder: Path, key: str) -> None:
    with pytest.raises(ValueError, match=rf"data\.{key} must be at least 1, not 0"):
        datamodule(folder, **{key: 0})


def test_how_videos_are_read_is_checked_by_key(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.prefetch must be at least 0, got -1"):
        datamodule(folder, prefetch=-1)


def test_names_of_splits(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.val: two splits have the same name: v, v"):
        datamodule(folder, val=[Split("v", "a.jsonl"), Split("v", "b.jsonl")])


def test_training_without_a_truth_is_refused_before_any_weight_loads(folder: Path) -> None:
    write_annotations(folder / "train.jsonl", ["a"], windows=None)
    with pytest.raises(ValueError, match=r"data\.train: .*train\.jsonl:1: sample 'a' has no true window"):
        datamodule(folder).setup("fit")


def test_lightning_must_not_shard_again(folder: Path) -> None:
    connector = SimpleNamespace(use_distributed_sampler=True)
    data = datamodule(folder, trainer(world_size=2, _accelerator_connector=connector))
    data.setup("fit")
    with pytest.raises(ValueError, match=r"trainer\.use_distributed_sampler must be false"):
        data.train_dataloader()


# ---- training


def test_without_a_plan_the_epochs_go_on_one_after_the_other(folder: Path) -> None:
    data = datamodule(folder, batch_size=2, mixture=Mixture(0.5, 0.5), seed=4)
    data.setup("fit")
    loader = data.train_dataloader()
    assert isinstance(loader.questions, TrainingQuestions) and loader.questions.mixture == Mixture(0.5, 0.5)
    assert (len(loader), loader.batches.seed, loader.batches.first_epoch) == (
        2,
        4,
        0,
    )  # 3 samples in batches of 2
    assert loader.state_dict()["given"] == 0
    data.trainer = trainer(current_epoch=3)  # type: ignore[assignment]
    assert data.train_dataloader().state_dict()["given"] == 6


def test_a_plan_comes_before_the_own_settings(folder: Path) -> None:
    plan = DataPlan(batch_size=1, mixture=Mixture(0.0, 1.0), first_epoch=200, num_batches=5)
    data = datamodule(folder, trainer(module=Module(plan=plan), current_epoch=2, world_size=2, global_rank=1))
    data.setup("fit")
    loader = data.train_dataloader()
    assert (len(loader), loader.batches.batch_size, loader.batches.first_epoch) == (5, 1, 200)
    assert loader.state_dict()["given"] == 0  # a plan is for one epoch of the trainer
    assert (loader.batches.sharding.rank, loader.batches.sharding.world_size) == (1, 2)
    assert data.num_train_samples() == 3


def test_sft_needs_targets(folder: Path) -> None:
    data = datamodule(folder, trainer(module=Module(needs_targets=True)))
    with pytest.raises(ValueError, match=r"data\.targets: SFT needs a file of traces"):
        data.setup("fit")


def test_targets_are_the_texts_of_the_traces(folder: Path) -> None:
    targets = str(write_traces(folder / "targets.jsonl", [TRACE, replace(TRACE, sample_id="a", text="too")]))
    data = datamodule(folder, trainer(module=Module(needs_targets=True)), targets=targets)
    data.setup("fit")
    questions = data.train_dataloader().questions
    assert isinstance(questions, TargetQuestions)
    assert [(t.sample.sample_id, t.text) for t in questions.targets] == [("b", "to be learned"), ("a", "too")]
    data.trainer = trainer()  # type: ignore[assignment]  # a module that learns from rewards leaves them
    assert isinstance(data.train_dataloader().questions, TrainingQuestions)


@pytest.mark.parametrize(
    ("traces", "words"),
    [
        ([], "there is nothing to learn from"),
        ([replace(TRACE, sample_id="z")], r'sample "z" is not in .*train\.jsonl'),
        ([replace(TRACE, task=Task.VERB_COMPLETION)], r'the text about sample "b" answers verb_completion'),
    ],
)
def test_targets_that_do_not_fit(folder: Path, traces: list[Trace], words: str) -> None:
    targets = str(write_traces(folder / "targets.jsonl", traces))
    data = datamodule(folder, trainer(module=Module(needs_targets=True)), targets=targets)
    with pytest.raises(ValueError, match=rf"targets\.jsonl: {words}"):
        data.setup("fit")  # before any weight loads


class OneBad(TVGDataModule):
    """In which the video of sample 2 cannot be read."""

    def _pool(self) -> ClipPool:
        return TablePool(bad=[2])


@pytest.fixture
def one_bad(folder: Path) -> TVGDataModule:
    train = str(write_annotations(folder / "four.jsonl", ["0", "1", "2", "3"]))
    data = OneBad(str(folder / "videos"), train)
    data.trainer = trainer(default_root_dir=str(folder))  # type: ignore[assignment]
    data.setup("fit")
    return data


def test_the_training_set_is_of_the_settings_of_the_stage(folder: Path) -> None:
    plan = DataPlan(batch_size=1, mixture=Mixture(0.25, 0.75), num_batches=5)
    attached = trainer(module=Module(plan=plan), world_size=2, global_rank=1)
    data = datamodule(folder, attached, seed=4, mixture=Mixture(0.5, 0.5))
    data.setup("fit")
    assert data.training_set is None, "there is none before the batches"
    data.train_dataloader()
    found = data.training_set
    assert found is not None and [sample.sample_id for sample in found.samples] == ["a", "b", "c"]
    assert (found.mixture, found.seed, found.sharding) == (Mixture(0.25, 0.75), 4, Sharding(1, 2))
    assert found.reader is data.reader() and found.difficulty is None


def test_weights_are_for_rewarded_training_and_chosen_once(folder: Path) -> None:
    """Sample b has no weight, so it comes last in every pass; SFT does not go by it, data.difficulty may not."""
    samples = [replace(s, weight=float(s.sample_id != "b")) for s in jsonl.read(folder / "train.jsonl").samples]
    jsonl.write(folder / "train.jsonl", samples)
    data = datamodule(folder, trainer(module=Module(plan=DataPlan(3, Mixture()))))
    data.setup("fit")
    batches = data.train_dataloader().batches
    assert [next(draw).index for batch in range(2) for draw in batches.candidates(batch)][2::3] == [1, 1]
    assert data.training_set is not None and data.training_set.weights is batches.weights is not None
    plan = DataPlan(3, Mixture(), targets=write_traces(folder / "traces.jsonl", [TRACE]))
    sft = datamodule(folder, trainer(module=Module(plan=plan)))
    sft.setup("fit")
    assert sft.train_dataloader().batches.weights is None
    both = datamodule(folder, trainer(module=Module(plan=DataPlan(1, Mixture()))), difficulty=DifficultyBand())
    both.setup("fit")
    with pytest.raises(ValueError, match=r"data\.difficulty: samples of .*train\.jsonl have weights, too"):
        both.train_dataloader()


def test_the_workers_end_with_the_run(one_bad: TVGDataModule) -> None:
    pool = one_bad.reader().pool
    assert one_bad.reader().pool is pool and one_bad.metrics()
    one_bad.teardown("fit")
    assert one_bad.metrics() == {} and one_bad.reader().pool is not pool


# ---- evaluation


def test_evaluation_splits_limits_and_tasks(folder: Path) -> None:
    val = [Split("one", str(folder / "val.jsonl"), limit=1), Split("two", str(folder / "val.jsonl"))]
    data = datamodule(folder, val=val, eval_tasks=(Task.TVG, Task.ACTION_RECOGNITION), eval_batch_size=3)
    data.setup("fit")
    assert data.evaluation_splits == ["one", "two"]
    one, two = data.val_dataloader()
    assert [(s.sample_id, task) for s, task in one.questions.pairs] == [
        ("d", Task.TVG),
        ("d", Task.ACTION_RECOGNITION),
    ]
    assert (len(one), len(two)) == (1, 2)  # 2 and 4 questions in batches of 3
    assert len(data.reports) == 2  # each file is read once


def test_test_and_predict_have_their_own_files(folder: Path) -> None:
    val = str(folder / "val.jsonl")
    data = datamodule(folder, trainer("test"), test=[Split("held_out", val)])
    data.setup("test")
    assert data.evaluation_splits == ["held_out"] and len(data.test_dataloader()) == 1
    write_annotations(folder / "open.jsonl", ["x"], windows=None)  # no truth is needed to answer
    data = datamodule(folder, trainer("predict"), predict=str(folder / "open.jsonl"))
    data.setup("predict")
    assert data.evaluation_splits == []
    assert [s.sample_id for s, _ in data.predict_dataloader().questions.pairs] == ["x"]


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_an_evaluation_without_any_truth_is_refused(folder: Path, stage: str) -> None:
    blind = Split("blind", str(write_annotations(folder / "blind.jsonl", ["d", "e"], windows=None)))
    key = "val" if stage == "validate" else "test"
    words = rf"^data\.{key}\[0\]\.annotations: .*blind\.jsonl holds no true window"
    with pytest.raises(ValueError, match=words):
        datamodule(folder, trainer(stage), **{key: [blind]}).setup(stage)


@pytest.mark.parametrize(("stage", "rank", "count"), [("fit", 0, 1), ("validate", 0, 1), ("validate", 1, 0)])
def test_a_split_without_truth_among_others_is_said(
    folder: Path, stage: str, rank: int, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    blind = Split("blind", str(write_annotations(folder / "blind.jsonl", ["d", "e"], windows=None)))
    good = Split("good", str(folder / "val.jsonl"))
    datamodule(folder, trainer(stage, global_rank=rank), val=[good, blind]).setup(stage)
    assert caplog.text.count("data.val[1].annotations") == count and "data.val[0]" not in caplog.text


def test_truth_beyond_the_limit_of_a_split_is_not_looked_at(folder: Path) -> None:
    lines = (
        write_annotations(folder / "one.jsonl", ["d"], windows=None),
        write_annotations(folder / "two.jsonl", ["e"]),
    )
    (folder / "both.jsonl").write_text("".join(path.read_text() for path in lines))
    split = Split("v", str(folder / "both.jsonl"), limit=1)
    with pytest.raises(ValueError, match="holds no true window"):
        datamodule(folder, trainer("validate"), val=[split]).setup("validate")


def test_half_an_emoji_in_a_target_is_fixed_and_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    targets = str(write_traces(folder / "targets.jsonl", [replace(TRACE, text="so \ud83d")]))
    data = datamodule(folder, trainer(module=Module(needs_targets=True)), targets=targets)
    data.setup("fit")
    assert [t.text for t in data.train_dataloader().questions.targets] == ["so �"]  # type: ignore[union-attr]
    assert "targets.jsonl: 1 traces fixed, the first at line 1" in caplog.text


def test_what_is_absent_is_said_in_predict_and_no_matter_where_nothing_is_grounded(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    absent = str(write_annotations(folder / "absent.jsonl", ["d", "e"], windows=()))
    datamodule(folder, trainer("predict"), predict=absent).setup("predict")
    assert "data.predict: 2 samples have windows [], that is, not in the video" in caplog.text
    split = Split("v", absent)
    with pytest.raises(ValueError, match="is about nothing in its video"):
        datamodule(folder, trainer("validate"), val=[split]).setup("validate")
    present = write_annotations(folder / "present.jsonl", ["f"])
    mixed = folder / "mixed.jsonl"
    mixed.write_text(Path(absent).read_text() + present.read_text())
    caplog.clear()
    datamodule(folder, trainer("validate"), val=[Split("v", str(mixed))], eval_tasks=["verb_completion"]).setup(
        "validate"
    )
    assert "nothing is measured" not in caplog.text


def test_inversion_tasks_alone_need_something_to_show(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    absent = Split("absent", str(write_annotations(folder / "absent.jsonl", ["d", "e"], windows=())))
    tasks = ["verb_completion", "video_description"]
    words = "holds no true window to ask verb_completion, video_description about, so nothing is measured on it"
    with pytest.raises(ValueError, match=rf"^data\.val\[0\]\.annotations: .*absent\.jsonl {words}: take a split"):
        datamodule(folder, trainer("validate"), val=[absent], eval_tasks=tasks).setup("validate")
    good = Split("good", str(folder / "val.jsonl"))
    datamodule(folder, trainer("validate"), val=[absent, good], eval_tasks=tasks).setup("validate")
    assert f"data.val[0].annotations: {absent.annotations} {words}" in caplog.text and "data.val[1]" not in caplog.text


def test_videos_that_lie_elsewhere_are_found_by_the_map(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "store").mkdir()
    (folder / "videos" / "b.mp4").rename(folder / "store" / "b.mkv")
    path = folder / "map.json"
    path.write_text(json.dumps({"b.mp4": str(folder / "store" / "b.mkv")}))
    data = datamodule(folder, trainer(), video_map=str(path))
    data.setup("fit")
    assert "data.videos" not in caplog.text
    assert data._bad is not None and str(folder / "store" / "b.mkv") in data._bad.videos
    assert data.reader().maker.side == 32, "as the policy says"
    assert data.reader().maker.video_map == {"b.mp4": str(folder / "store" / "b.mkv")}
    (folder / "store" / "b.mkv").unlink()
    with pytest.raises(ValueError, match=rf"^data\.video_map: {path}: 'b\.mp4': there is no file .*store/b\.mkv"):
        datamodule(folder, trainer(), video_map=str(path)).setup("fit")
