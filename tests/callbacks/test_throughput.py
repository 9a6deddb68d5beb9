"""Speed and memory of a run in its log."""

import json
from pathlib import Path

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

import train
from callbacks.throughput import Throughput, measured_peak_tflops
from tests.runs import changed, grpo, stage, write_config


def test_what_a_run_logs(tmp_path: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = [stage("only", 2, **grpo(beta=0.04, generation={"max_new_tokens": 8}))]
    path = write_config(tmp_path, shapes, stages=stages)
    logger = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(tmp_path)}}
    with changed(path) as config:
        config["throughput"] = {}
        config["trainer"]["logger"] = logger
    logged: list[dict[str, float]] = []
    monkeypatch.setattr(CSVLogger, "log_metrics", lambda self, metrics, step=None: logged.append(dict(metrics)))
    train.main(["fit", "--config", str(path)])
    metrics = next(m for m in logged if "speed/step_s" in m)
    parts = sum(metrics[f"speed/{name}_s"] for name in ("vision", "rollout", "loss", "backward", "optimizer"))
    assert 0 < parts <= metrics["speed/step_s"]
    assert metrics["speed/rollout_share"] == pytest.approx(
        metrics["speed/rollout_s"] / metrics["speed/step_s"], rel=1e-4
    )
    assert 0 < metrics["speed/mfu"] < 1 and metrics["speed/tokens_per_s"] > 0
    assert json.dumps(metrics)


def test_a_peak_is_measured_or_given() -> None:
    assert 1e-3 < measured_peak_tflops(torch.device("cpu"), torch.float32) < 1e3
    with pytest.raises(ValueError, match="peak_tflops must be positive"):
        Throughput(peak_tflops=0.0)
