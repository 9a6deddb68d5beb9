"""A run on a server: what it gives, and a server that is killed in the middle of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.runs import ROOT, WITHOUT_VALIDATION, grpo, in_new_process, in_processes, stage, write_config
from tvg_lightning.traces import read_traces

pytestmark = pytest.mark.vllm


@contextmanager
def serving(port: int = 0) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tvg_lightning", "serve", "--port", str(port), "--max_length", "1024"]
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1], process
        finally:
            process.kill()


def arguments(config: Path, url: str, folder: Path, retries: int = 1) -> list[str | Path]:
    settings = {"url": url, "weights_folder": folder / "weights", "retries": retries}
    given = [part for key, value in settings.items() for part in (f"--model.init_args.vllm.{key}", str(value))]
    return [
        "fit",
        "--config",
        config,
        "--step_checkpoint.every_n_steps",
        "1",
        "--model.init_args.engine",
        "vllm_server",
        *given,
        *WITHOUT_VALIDATION,
    ]


def traces(folder: Path) -> list[str]:
    return [trace.text for file in sorted((folder / "traces").glob("*.jsonl")) for trace in read_traces(file)]


def test_a_killed_server_ends_the_run_and_a_new_one_goes_on(tmp_path: Path, shapes: Path) -> None:
    """Killed between two updates of one rollout: the resumed run is the one that nothing stopped."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    stages = [stage("only", 8, **grpo(num_iterations=2))]
    configs = {folder: write_config(folder, shapes, stages=stages) for folder in (whole, cut)}
    with serving() as (url, server):
        started = time.monotonic()
        run = subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *map(str, arguments(configs[cut], url, cut))],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, cwd=ROOT,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        while not (cut / "checkpoints" / "last.ckpt").exists() and time.monotonic() - started < 120:
            time.sleep(0.05)
        server.send_signal(signal.SIGKILL)
        _, said = run.communicate(timeout=120)
    assert run.returncode == 1
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "engine vllm_server" in line
    assert "gave no answer to" in line
    assert "--ckpt_path last" in line
    assert "Traceback" not in said
    with serving() as (url, _):
        ended = in_new_process(*arguments(configs[cut], url, cut), "--ckpt_path", "last")
        assert ended.codes == [0], ended.said
        ended = in_new_process(*arguments(configs[whole], url, whole))
        assert ended.codes == [0], ended.said
    assert list((whole / "weights").iterdir()) == []
    assert traces(cut) == traces(whole)


def test_two_processes_share_a_server(tmp_path: Path, shapes: Path) -> None:
    """Shards are gathered for it; past a difference of 1e-4 nats from the loss the run would stop."""
    stages = [stage("only", 3, **grpo(importance_correction={"max_difference": 1e-4}))]
    config = write_config(tmp_path, shapes, stages=stages)
    more = ["--trainer.devices", "2", "--trainer.strategy", "fsdp"]
    with serving() as (url, _):
        ended = in_processes(tmp_path, *arguments(config, url, tmp_path), *more, num_processes=2, limit_s=250)
        assert ended.codes == [0, 0], ended.said
    assert len(traces(tmp_path)) == 3 * 2 * 2 * 3  # steps, processes, prompts, completions
    assert list((tmp_path / "weights").iterdir()) == []
