"""A run's folder read for a page: a file that is torn, empty, another or missing costs its own part and no more."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.builders import GOOD_TRACE, write_traces
from tvg_lightning.machine import Machine, record_start
from tvg_lightning.pages.run_reading import RunRead, read_run

MACHINE = Machine("2026-01-02T03:04:05+00:00", "3.11.7", "Linux", {"torch": "2.13.0"}, "", "A processor", 16, 128.0, [])
TRACES, OTHERS = "traces/rl-rank0.jsonl", "traces/rl-rank1.jsonl"


def write_run(folder: Path) -> Path:
    """A run with every file whole: two groups of two in each of two processes."""
    for rank, name in enumerate((TRACES, OTHERS)):
        rows = [replace(GOOD_TRACE, step=step, rollout=k, group=rank) for step in range(2) for k in range(2)]
        write_traces(folder / name, rows)
    (folder / "summary.json").write_text('[{"stage": "base", "mIoU": 0.125}]')
    (folder / "metrics.csv").write_text("step,train/loss\n0,0.5\n1,0.25\n")
    (folder / "config.yaml").write_text("data: {videos: a}\n")
    record_start(folder, MACHINE)
    return folder


def parts(read: RunRead) -> dict[str, object]:
    """What the page shows of each file."""
    return {
        "traces": read.tallies.num_traces,
        "summary.json": read.summary,
        "metrics.csv": dict(read.metrics).get("train/loss"),
        "config.yaml": read.config,
        "machine.json": len(read.ran_with),
    }


def test_a_whole_run_and_one_whose_files_are_missing(tmp_path: Path) -> None:
    whole = read_run(write_run(tmp_path))
    assert (whole.wrong, whole.missing) == ([], [])
    assert parts(whole) == {
        "traces": 8, "summary.json": [{"stage": "base", "mIoU": 0.125}], "metrics.csv": [(0, 0.5), (1, 0.25)],
        "config.yaml": "data: {videos: a}\n", "machine.json": 1,
    }  # fmt: skip
    assert [(section.num_traces, section.num_groups) for section in whole.outcomes] == [(8, 4)]
    for name in ("summary.json", "metrics.csv", "config.yaml", "machine.json"):
        (tmp_path / name).unlink()
    rest = read_run(tmp_path)
    assert rest.wrong == [] and rest.tallies.num_traces == 8 and (rest.config, rest.ran_with) == (None, [])
    assert [words.removeprefix(f"{tmp_path}: ").partition(",")[0] for words in rest.missing] == [
        "no summary.json", "no metrics that can be read",
    ]  # fmt: skip


GONE: dict[str, object] = {"summary.json": [], "metrics.csv": None, "config.yaml": None, "machine.json": 0}
TORN = [
    ("summary.json", '[{"stage": "base", "mI', []),
    ("summary.json", "", []),
    ("summary.json", '{"stage": "base"}', []),
    ("summary.json", "\xff", []),
    ("metrics.csv", "step,train/loss\n0,0.5\n1,abc", [(0, 0.5)]),
    ("metrics.csv", "", None),
    ("metrics.csv", "[1]", None),
    ("config.yaml", "data: {videos: a", "data: {videos: a"),
    ("config.yaml", "", ""),
    ("config.yaml", "[1]", "[1]"),
    ("machine.json", '[{"started": ', 0),
    ("machine.json", "", 0),
    ("machine.json", '{"started": "now"}', 0),
    ("machine.json", json.dumps([{**asdict(MACHINE), "versions": 3}]), 0),
]


@pytest.mark.parametrize(("name", "text", "left"), TORN)
def test_one_file_that_cannot_be_read_is_one_sentence(name: str, text: str, left: object, tmp_path: Path) -> None:
    whole = parts(read_run(write_run(tmp_path)))
    (tmp_path / name).write_text(text, encoding="latin-1")
    found = read_run(tmp_path)
    (sentence,) = found.wrong
    assert sentence.startswith(f"{tmp_path}/{name}:") and sentence.endswith(".") and "\n" not in sentence
    assert parts(found) == whole | {name: left}


@pytest.mark.parametrize("name", GONE)
def test_a_folder_or_a_file_that_may_not_be_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = parts(read_run(write_run(tmp_path)))

    def refuses(path: Path, encoding: str) -> str:
        if path.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return path.read_bytes().decode(encoding)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_text", refuses)
        found = read_run(tmp_path)
        assert found.wrong[0].startswith(f"{tmp_path}/{name}: Permission denied. ") and len(found.wrong) == 1
        assert parts(found) == whole | {name: GONE[name]}
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    found = read_run(tmp_path)
    assert found.wrong[0].startswith(f"{tmp_path}/{name}: a folder, not a file") and len(found.wrong) == 1
    assert parts(found) == whole | {name: GONE[name]}


@pytest.mark.parametrize(("change", "words", "num_left"), [
    (lambda text: text[:-20], "its last line is torn, as the run died while it wrote; it is passed over.", 7),
    (lambda text: text.replace('"step": 1', '"step": 1 1', 1), ":3: not JSON (", 6),
    (lambda text: text.replace('"answer_iou"', '"iou"', 1), ":1: not a trace of this version", 4),
    (lambda text: "[]\n" + text, ":1: expected an object with the fields of a trace, got list", 4),
    (lambda text: "\0" * 9 + "\n" + text, ":1: not JSON (", 4),
])  # fmt: skip
def test_traces_count_up_to_a_line_that_is_none(
    change: Callable[[str], str], words: str, num_left: int, tmp_path: Path
) -> None:
    whole = parts(read_run(write_run(tmp_path)))
    file = tmp_path / OTHERS
    file.write_text(change(file.read_text()), encoding="utf-8")
    found = read_run(tmp_path)
    (sentence,) = found.wrong
    assert sentence.startswith(f"{file}:") and words in sentence
    assert parts(found) == whole | {"traces": num_left}
    if "torn" not in words:
        assert sentence.endswith(". What stands before it is counted, and nothing behind it in this file.")


def test_traces_of_which_none_can_be_read(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / OTHERS).unlink()
    (tmp_path / OTHERS).mkdir()
    (tmp_path / TRACES).write_text("no traces\n")
    found = read_run(tmp_path)
    assert len(found.wrong) == 2 and f"{tmp_path}/{OTHERS}: Is a directory. What stands" in "".join(found.wrong)
    assert found.missing == [
        f"{tmp_path}: no completion can be read of its files of traces: there are no completions to show."
    ]


def test_predictions_are_no_traces(tmp_path: Path) -> None:
    """What predict writes into the folder of a run of SFT alone, whole or torn, is not read."""
    (tmp_path / "config.yaml").write_text("data: {}\n")
    for text in ('{"qid": "a", "iou": 0.5}\n', '{"qid"', ""):
        (tmp_path / "predictions-rank0.jsonl").write_text(text)
        found = read_run(tmp_path)
        assert found.wrong == [] and found.missing[0].startswith(f"{tmp_path}: no traces here, which steps of GRPO")
