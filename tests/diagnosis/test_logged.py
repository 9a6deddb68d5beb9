"""Metrics in the three forms that runs leave them in, and what is found in them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from tvg_lightning.diagnosis import logged
from tvg_lightning.diagnosis.logged import metric_findings, no_gain, read_metrics, read_summary

STEPS = [(0, {"train/kl": 0.5, "v/mIoU": 0.25}), (1, {"train/kl": 2.0}), (2, {"train/kl": 4.0, "v/mIoU": 0.125})]
FOUND = {"train/kl": [(0, 0.5), (1, 2.0), (2, 4.0)], "v/mIoU": [(0, 0.25), (2, 0.125)]}


def metrics_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The metrics of a run whose files are whole."""
    notes: list[str] = []
    found = read_metrics(folder, notes)
    assert notes == []
    return found


def log(logger: CSVLogger | TensorBoardLogger) -> None:
    for step, metrics in STEPS:
        logger.log_metrics(metrics, step)
    logger.save()
    logger.finalize("success")


def test_event_files(tmp_path: Path) -> None:
    log(TensorBoardLogger(str(tmp_path), name="tensorboard", version=""))
    found = metrics_of(tmp_path)
    assert {name: found[name] for name in FOUND} == FOUND
    (file,) = tmp_path.rglob("events.out.tfevents*")
    file.write_bytes(file.read_bytes()[:-5])  # the run died while it wrote
    assert read_metrics(tmp_path, [])["train/kl"] == FOUND["train/kl"]


def log_to(folder: Path, written_at: int, *steps: tuple[int, dict[str, float]]) -> None:
    """One event file more in a folder."""
    before = set(folder.glob("events*"))
    logger = TensorBoardLogger(str(folder), name="", version="", filename_suffix=f".{written_at}")
    for step, metrics in steps:
        logger.log_metrics(metrics, step)
    logger.finalize("success")
    (file,) = set(folder.glob("events*")) - before
    os.utime(file, (written_at, written_at))


def test_the_fit_counts_and_not_what_was_predicted_or_validated_later(tmp_path: Path) -> None:
    log_to(tmp_path / "version_0", 1, (0, {"train/kl": 0.5, "v/mIoU": 0.25}))
    log_to(tmp_path / "version_1", 2, (0, {"hp_metric": -1.0}))
    log_to(tmp_path / "version_2", 3, (0, {"v/mIoU": 0.75}))
    log_to(tmp_path / "version_0", 4, (0, {"v/mIoU": 0.75}))
    assert metrics_of(tmp_path) == {"train/kl": [(0, 0.5)], "v/mIoU": [(0, 0.25)]}
    (tmp_path / "validated" / "log").mkdir(parents=True)
    log_to(tmp_path / "validated" / "log", 5, (0, {"v/mIoU": 0.5}))
    assert metrics_of(tmp_path / "validated") == {"v/mIoU": [(0, 0.5)]}


def test_steps_that_were_taken_again_count_once(tmp_path: Path) -> None:
    log_to(tmp_path, 1, (0, {"train/kl": 1.0}), (5, {"train/kl": 2.0}), (10, {"train/kl": 3.0}))
    log_to(tmp_path, 2, (5, {"train/kl": 4.0}))  # from a checkpoint
    assert metrics_of(tmp_path) == {"train/kl": [(0, 1.0), (5, 4.0)]}
    log_to(tmp_path, 3, (0, {"train/kl": 5.0}))  # anew
    assert metrics_of(tmp_path) == {"train/kl": [(0, 5.0)]}


def test_a_csv_and_a_summary(tmp_path: Path) -> None:
    log(CSVLogger(str(tmp_path), name="log"))
    rows = [{"stage": "base", "mIoU": 0.25}, {"stage": "rl", "mIoU": 0.5}, {"stage": "x", "mIoU": None}]
    (tmp_path / "summary.json").write_text(json.dumps(rows))
    assert metrics_of(tmp_path) == FOUND | {"summary/mIoU": [(0, 0.25), (1, 0.5)]}


def test_the_newest_log_counts_and_earlier_runs_do_not(tmp_path: Path) -> None:
    for name, value in (("log/version_0", 1), ("log/version_1", 2), ("earlier-1/log", 3)):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "metrics.csv").write_text(f"step,train/kl\n0,{value}\n")
        os.utime(tmp_path / name / "metrics.csv", (value, value))
    assert metrics_of(tmp_path) == {"train/kl": [(0, 2.0)]}
    assert metrics_of(tmp_path / "earlier-1" / "log") == {"train/kl": [(0, 3.0)]}


@pytest.mark.parametrize(("text", "words"), [
    ("epoch\n1\n", ":1: the columns step are needed, found ['epoch']"),
    ("", ":1: the columns step are needed, found None"),
    ("step,a\n0,0.5\n1,x\n", ":3: could not convert string to float: 'x'"),
    ("step,a\n0,0.5\ninf,1\n", ":3: step: expected a whole number, got inf"),
    ("step,a\n0,0.5\n1,2,3\n", ":3: more cells than columns"),
    ("a,step\n0.5,0\n1", ":3: step: the row ends before this column"),
])  # fmt: skip
def test_a_csv_counts_up_to_a_line_that_is_none(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    notes: list[str] = []
    assert read_metrics(tmp_path, notes) == ({"a": [(0, 0.5)]} if "a" in text else {})
    advice = "What stands behind it is missing here: repair the line, or restore the file."
    assert notes == [f"{tmp_path}/metrics.csv{words}. {advice}"]


def test_an_event_file_counts_up_to_what_is_damaged(tmp_path: Path) -> None:
    log_to(tmp_path, 1, *((step, {"train/kl": float(step)}) for step in range(3)))
    (file,) = tmp_path.glob("events*")
    whole = file.read_bytes()
    records = [0]
    while records[-1] < len(whole):
        records.append(records[-1] + 16 + int.from_bytes(whole[records[-1] : records[-1] + 8], "little"))
    last = records[-2]
    for damaged, num in (
        (whole[: last + 5], 3),  # in its length
        (whole[: last + 20], 3),  # in its text
        (whole[:-2], 3),  # in its checksum
        (whole[: last + 15] + b"~" + whole[last + 16 :], 3),
        (b"", 0),
        (b"words, and no records", 0),
    ):
        file.write_bytes(damaged)
        notes: list[str] = []
        found = read_metrics(tmp_path, notes)
        (note,) = notes
        assert note.startswith(
            f"{file}: no whole event file of TensorBoard: it is torn or damaged behind record {num}. "
        )
        assert [step for step, _ in found.get("train/kl", [])] == list(range(max(0, num - 1)))  # the first is a version
    file.write_bytes(whole)
    assert metrics_of(tmp_path)["train/kl"] == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_an_event_file_that_grows_meanwhile_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that goes on appends records, and half of one perhaps, between the look at the size and the end."""
    log_to(tmp_path, 1, *((step, {"train/kl": float(step)}) for step in range(3)))
    (file,) = tmp_path.glob("events*")
    whole, read = file.read_bytes(), logged._events

    def meanwhile(path: Path) -> Iterator[Any]:
        yield from read(path)
        file.write_bytes(whole + whole[:30])

    monkeypatch.setattr(logged, "_events", meanwhile)
    assert metrics_of(tmp_path)["train/kl"] == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_an_event_file_that_is_something_else(tmp_path: Path) -> None:
    text = b"\xff\xff no event"
    head = len(text).to_bytes(8, "little")
    record = b"".join(part + masked_crc32c(part).to_bytes(4, "little") for part in (head, text))
    (tmp_path / "events.out.tfevents.1").write_bytes(record)
    (tmp_path / "events.out.tfevents.2").mkdir()
    (tmp_path / "events.out.tfevents.3").symlink_to("nowhere")
    notes: list[str] = []
    assert read_metrics(tmp_path, notes) == {}
    assert [note.partition(": ")[2].partition(" (")[0].partition(".")[0] for note in sorted(notes)] == [
        "no event file of TensorBoard", "not a file that can be read", "not a file that can be read",
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), [
    ('[{"stage": "ba', "summary.json:1: not one JSON value (Unterminated string starting at)"),
    ("", "summary.json:1: not one JSON value (Expecting value)"),
    ('{"stage": "base"}', "summary.json: not a list of objects, one a stage"),
    ('[{"stage": "base"}, 3]', "summary.json: not a list of objects, one a stage"),
    ('[{"mIoU": 0.5, "mIoU": 0.25}]', "summary.json: the key 'mIoU' stands twice in one object; keep one of them"),
])  # fmt: skip
def test_a_summary_that_is_none_is_a_sentence(text: str, words: str, tmp_path: Path) -> None:
    log(CSVLogger(str(tmp_path), name="log"))
    (tmp_path / "summary.json").write_text(text)
    notes: list[str] = []
    assert read_summary(tmp_path, notes) == []
    sentence = f"{tmp_path}/{words}. The table of stages is left out: restore the file, or remove it."
    assert notes == [sentence]
    assert read_metrics(tmp_path, notes) == FOUND and notes == [sentence] * 2


def test_a_summary_that_is_a_folder_or_not_there(tmp_path: Path) -> None:
    notes: list[str] = []
    assert read_summary(tmp_path, notes) == [] and notes == []
    (tmp_path / "summary.json").mkdir()
    assert read_summary(tmp_path, notes) == [] and "summary.json: a folder, not a file. The table" in notes[0]


def test_a_run_without_logs_has_no_metrics(tmp_path: Path) -> None:
    assert metrics_of(tmp_path) == {} and metric_findings({}) == []


def test_no_gain() -> None:
    flat, risen = [(0, 0.25), (9, 0.2)], [(0, 0.25), (9, 0.375)]
    found = no_gain({"v/mIoU": flat, "w/mIoU": [(0, 0.1), (9, 0.105)], "train/loss": flat})
    assert found is not None and (found.num, found.out_of) == (2, 2)
    assert found.words.endswith(": v 0.250 to 0.200, w 0.100 to 0.105.")
    assert no_gain({"v/mIoU": flat, "w/mIoU": risen}) is None and no_gain({"v/mIoU": flat[:1]}) is None


def test_steps_that_teach_nothing_or_too_much() -> None:
    metrics = {
        "train/grad_norm": [(step, float(step > 2)) for step in range(4)],  # 0 in three of four
        "train/skipped": [(0, 0.0), (1, 1.0)],
        "train/kl": FOUND["train/kl"],
        "train/data/bad_videos": [(0, 0.0), (1, 3.0)],
    }
    assert [(f.name, f.num, f.out_of) for f in metric_findings(metrics)] == [
        ("no_gradient", 3, 4),
        ("far_from_reference", 2, 3),
        ("skipped_updates", 1, 2),
        ("bad_videos", 3, 3),
    ]
    healthy = {"train/grad_norm": [(0, 0.5)], "train/skipped": [(0, 0.0)], "train/kl": [(0, 0.9), (1, float("nan"))]}
    assert metric_findings(healthy) == []
