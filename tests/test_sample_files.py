"""Files are read once, complaints name key and file, targets find their samples."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import GOOD_TRACE, write_annotations, write_traces
from tvg_lightning.sample_files import SampleFiles, Split
from tvg_lightning.schema import AnswerFormat, Method

TAR_TVG = AnswerFormat(Method.TAR_TVG)


@pytest.fixture
def train(tmp_path: Path) -> str:
    return str(write_annotations(tmp_path / "train.jsonl", ["a", "b", "c"]))


@pytest.mark.parametrize("name", ["", "a/b", "v1.2", "train", "keys"])
def test_split_names_that_cannot_stand_before_a_metric(name: str) -> None:
    with pytest.raises(ValueError, match="the split name"):
        Split(name, "val.jsonl")


def test_a_split_is_a_part_of_its_file(train: str) -> None:
    with pytest.raises(ValueError, match="limit of split v must be at least 1"):
        Split("v", "val.jsonl", limit=0)
    files = SampleFiles(videos_outside=False)
    files.read("data.train", train)
    assert [sample.sample_id for sample in files.of(Split("v", train, limit=2))] == ["a", "b"]
    assert files.of(Split("v", train)) == files[train] and len(files[train]) == 3


def test_a_file_under_two_keys_is_read_once(train: str) -> None:
    files = SampleFiles(videos_outside=False)
    files.read("data.train", train)
    Path(train).unlink()
    files.read("data.val[0].annotations", train)
    assert len(files.reports) == 1
    with pytest.raises(ValueError, match=r"^data\.train: .*train\.jsonl: no such file"):
        SampleFiles(videos_outside=False).read("data.train", train)


def test_targets_are_the_texts_of_traces_with_their_samples(train: str, tmp_path: Path) -> None:
    files = SampleFiles(videos_outside=False)
    files.read("data.train", train)
    traces = [replace(GOOD_TRACE, sample_id=name, text=f"about {name}") for name in "cac"]
    found = files.targets(write_traces(tmp_path / "traces.jsonl", traces), train, TAR_TVG).targets
    assert [(t.sample.sample_id, t.text) for t in found] == [("c", "about c"), ("a", "about a"), ("c", "about c")]
    other = write_traces(tmp_path / "other.jsonl", [replace(GOOD_TRACE, sample_id="z")])
    with pytest.raises(ValueError, match=r'other\.jsonl: sample "z" is not in .*train\.jsonl'):
        files.targets(other, train, TAR_TVG)


@pytest.mark.parametrize(
    ("told", "asked", "is_refused"),
    [
        (None, AnswerFormat(Method.TIME_R1), False),  # traces of a teacher, or older than the field
        (AnswerFormat(Method.TIME_R1), AnswerFormat(Method.TIME_R1, thought=True), False),
        (AnswerFormat(Method.TIME_R1), AnswerFormat(Method.TIME_R1, thought=False), True),
        (TAR_TVG, AnswerFormat(Method.TIME_R1), True),
    ],
)
def test_targets_in_another_format_are_refused(
    told: AnswerFormat | None, asked: AnswerFormat, is_refused: bool, train: str, tmp_path: Path
) -> None:
    files = SampleFiles(videos_outside=False)
    files.read("data.train", train)
    path = write_traces(tmp_path / "traces.jsonl", [replace(GOOD_TRACE, sample_id="a", form=told)])
    if not is_refused:
        assert len(files.targets(path, train, asked)) == 1
        return
    with pytest.raises(ValueError, match=r'"a" is in the format of .*, and the run asks for that of time_r1, with'):
        files.targets(path, train, asked)
