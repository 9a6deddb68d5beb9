"""Whole runs over a folder in which videos are damaged, hang the decoder, or crash it."""

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import train
from tests.builders import GOOD_TRACE, write_traces
from tests.data.conftest import doubles
from tests.doubles import losses
from tests.test_train import ROOT, grpo, stage, write_config
from tvg_lightning.data.bad_videos import read_bad_videos

__all__ = ["doubles"]

REASONS = {"cut": "cannot be read", "text": "cannot be read", "hangs": "took more than 3 s", "crashes": "(SIGSEGV)"}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Path:
    """Ten videos with a sample each: two are damaged (20 %), one hangs the decoder, one crashes it."""
    folder = tmp_path_factory.mktemp("damaged")
    shutil.copytree(shapes / "videos", folder / "videos")
    shutil.copy(shapes / "held_out.jsonl", folder)
    samples = [json.loads(line) for line in (shapes / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    samples = list({sample["video"]: sample for sample in samples}.values())
    content = (folder / "videos" / samples[0]["video"]).read_bytes()
    for name in REASONS:
        size = {"cut": len(content) // 2, "text": 100}.get(name, len(content))
        (folder / "videos" / f"{name}.mp4").write_bytes(content[:size])
        samples.append({**samples[0], "id": name, "video": f"{name}.mp4"})
    (folder / "train.jsonl").write_text("".join(json.dumps(s) + "\n" for s in samples), encoding="utf-8")
    write_traces(folder / "targets.jsonl", [replace(GOOD_TRACE, sample_id=s["id"]) for s in samples])
    return folder


def config_of(folder: Path, damaged: Path, callbacks: list[dict[str, Any]] | None = None, **data: Any) -> Path:
    """Six rollouts of two prompts, so that every video is drawn, then as many batches of targets."""
    stages = [stage("explore", 6, **grpo(generation={"max_new_tokens": 16})), stage("imitate", 6, sft=True)]
    path = write_config(folder, damaged, stages=stages)
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["data"] |= {"num_workers": 2, "video_timeout_s": 3.0, "cache": None, **data}
    config["trainer"]["callbacks"] += callbacks or []
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def kill_9(config: Path) -> None:
    """A run that a callback of the config kills."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "train.py"), "fit", "--config", str(config)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr


def last_metrics(folder: Path) -> dict[str, float]:
    """The last value of each logged figure."""
    metrics: dict[str, float] = {}
    (file,) = folder.rglob("metrics.csv")
    with file.open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            metrics |= {name: float(value) for name, value in row.items() if value}
    return metrics


@pytest.mark.usefixtures("doubles")
def test_damaged_videos_cost_their_time_and_no_run(damaged: Path, tmp_path: Path) -> None:
    """Two runs, one of them read otherwise, killed and resumed: the same losses to the last bit."""
    one, two = tmp_path / "one", tmp_path / "two"
    logger = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(one), "version": ""}}
    train.main(["fit", "--config", str(config_of(one, damaged)), "--trainer.logger", json.dumps(logger)])
    whole = losses(one / "losses.jsonl")
    metrics = last_metrics(one)
    assert len(whole) == 12 and metrics["train/data/bad_videos"] == 4 and metrics["train/data/wait_s"] > 0
    assert metrics["train/data/killed"] >= 1 and metrics["train/data/died"] >= 1

    kill = {"class_path": "tests.doubles.KillAt", "init_args": {"batch": 7}}
    kill_9(config_of(two, damaged, [kill], num_workers=1, prefetch=0))
    assert losses(two / "losses.jsonl") == whole[:8]
    last = str(two / "checkpoints" / "last.ckpt")
    train.main(["fit", "--config", str(config_of(two, damaged)), "--ckpt_path", last])
    resumed = losses(two / "losses.jsonl")[8:]
    assert resumed and resumed == whole[resumed[0][1] :]

    for folder in (one, two):
        bad = {Path(video.path).stem: video for video in read_bad_videos(folder / "bad_videos.jsonl")}
        assert {name: REASONS[name] in video.reason for name, video in bad.items()} == dict.fromkeys(REASONS, True)


def test_what_cannot_be_read_is_answered_as_missing(damaged: Path, tmp_path: Path) -> None:
    """Nothing stands in for it: a record without a span, and IoU 0 in the metrics."""
    lines = (damaged / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "asked.jsonl").write_text("".join([lines[0], lines[-4]]), encoding="utf-8")
    config = config_of(tmp_path, damaged, num_workers=0, predict=str(tmp_path / "asked.jsonl"))
    train.main(["predict", "--config", str(config)])
    text = (tmp_path / "predictions-rank0.jsonl").read_text(encoding="utf-8")
    read, unread = (json.loads(line) for line in text.splitlines())
    assert read["text"] and read["frame_times_s"] and "error" not in read
    assert (unread["qid"], unread["text"], unread["span"], unread["iou"], unread["frame_times_s"]) == (
        "cut", "", None, 0.0, [],
    )  # fmt: skip
    assert "cut.mp4: cannot be read" in unread["error"]
    assert not (tmp_path / "bad_videos.jsonl").exists(), "what is tried again next time is not written down"
