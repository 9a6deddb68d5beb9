"""Speed and memory of a run in its log, and the clock behind them."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch.loggers import CSVLogger

import train
from callbacks.throughput import Throughput, measured_peak_tflops
from tests.test_train import grpo, stage, write_config
from tvg_lightning.modules.phases import Phases


def test_a_clock_is_in_one_phase_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([1.0, 3.0, 3.0, 4.0, 4.0, 9.0])
    monkeypatch.setattr("tvg_lightning.modules.phases.time.perf_counter", lambda: next(now))
    phases = Phases()
    phases.start(torch.device("cpu"))
    phases.enter("rollout")  # at 1
    phases.enter("loss")  # at 3
    phases.enter("rollout")  # at 4
    phases.end()  # at 9
    phases.end()  # in no phase: nothing to end
    assert phases.seconds == {"rollout": 7.0, "loss": 1.0}
    phases.start(torch.device("cpu"))
    assert phases.seconds == {} == phases.peak_gib


def test_the_peak_of_a_phase_is_its_own() -> None:
    phases = Phases()
    phases.start(torch.device("cpu"))
    phases.enter("large")
    large = torch.ones(64 * 2**20)  # 0.25 GiB
    del large
    phases.enter("small")
    phases.end()
    if phases.peak_gib:  # nothing where the system does not tell
        assert phases.peak_gib["large"] - phases.peak_gib["small"] == pytest.approx(0.25, abs=0.05)


def test_what_a_run_logs(tmp_path: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = [stage("only", 2, **grpo(beta=0.04, generation={"max_new_tokens": 8}))]
    path = write_config(tmp_path, shapes, stages=stages)
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["throughput"] = {}
    config["trainer"]["logger"] = {
        "class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(tmp_path)}
    }  # fmt: skip
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
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
