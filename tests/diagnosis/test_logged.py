"""Metrics in the three forms that runs leave them in, and what is found in them."""

import json
import os
from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from tvg_lightning.diagnosis.logged import metric_findings, no_gain, read_metrics

STEPS = [(0, {"train/kl": 0.5, "v/mIoU": 0.25}), (1, {"train/kl": 2.0}), (2, {"train/kl": 4.0, "v/mIoU": 0.125})]
FOUND = {"train/kl": [(0, 0.5), (1, 2.0), (2, 4.0)], "v/mIoU": [(0, 0.25), (2, 0.125)]}


def log(logger: CSVLogger | TensorBoardLogger) -> None:
    for step, metrics in STEPS:
        logger.log_metrics(metrics, step)
    logger.save()
    logger.finalize("success")


def test_event_files(tmp_path: Path) -> None:
    log(TensorBoardLogger(str(tmp_path), name="tensorboard", version=""))
    found = read_metrics(tmp_path)
    assert {name: found[name] for name in FOUND} == FOUND
    (file,) = tmp_path.rglob("events.out.tfevents*")
    file.write_bytes(file.read_bytes()[:-5])  # the run died while it wrote
    assert read_metrics(tmp_path)["train/kl"] == FOUND["train/kl"]


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
    assert read_metrics(tmp_path) == {"train/kl": [(0, 0.5)], "v/mIoU": [(0, 0.25)]}
    (tmp_path / "validated" / "log").mkdir(parents=True)
    log_to(tmp_path / "validated" / "log", 5, (0, {"v/mIoU": 0.5}))
    assert read_metrics(tmp_path / "validated") == {"v/mIoU": [(0, 0.5)]}


def test_steps_that_were_taken_again_count_once(tmp_path: Path) -> None:
    log_to(tmp_path, 1, (0, {"train/kl": 1.0}), (5, {"train/kl": 2.0}), (10, {"train/kl": 3.0}))
    log_to(tmp_path, 2, (5, {"train/kl": 4.0}))  # from a checkpoint
    assert read_metrics(tmp_path) == {"train/kl": [(0, 1.0), (5, 4.0)]}
    log_to(tmp_path, 3, (0, {"train/kl": 5.0}))  # anew
    assert read_metrics(tmp_path) == {"train/kl": [(0, 5.0)]}


def test_a_csv_and_a_summary(tmp_path: Path) -> None:
    log(CSVLogger(str(tmp_path), name="log"))
    rows = [{"stage": "base", "mIoU": 0.25}, {"stage": "rl", "mIoU": 0.5}, {"stage": "x", "mIoU": None}]
    (tmp_path / "summary.json").write_text(json.dumps(rows))
    assert read_metrics(tmp_path) == FOUND | {"summary/mIoU": [(0, 0.25), (1, 0.5)]}


def test_the_newest_log_counts_and_earlier_runs_do_not(tmp_path: Path) -> None:
    for name, value in (("log/version_0", 1), ("log/version_1", 2), ("earlier-1/log", 3)):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "metrics.csv").write_text(f"step,train/kl\n0,{value}\n")
        os.utime(tmp_path / name / "metrics.csv", (value, value))
    assert read_metrics(tmp_path) == {"train/kl": [(0, 2.0)]}
    assert read_metrics(tmp_path / "earlier-1" / "log") == {"train/kl": [(0, 3.0)]}


@pytest.mark.parametrize(
    ("text", "words"), [("epoch\n1\n", "the columns step are needed"), ("step,a\n1,x\n", "metrics.csv:2: could not")]
)
def test_what_is_no_log_names_the_file(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_metrics(tmp_path)


def test_a_run_without_logs_has_no_metrics(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == {} and metric_findings({}) == []


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
