"""Whole runs that many tests need: a small staged config, and the ways to start train.py on it."""

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch.distributed as dist
import yaml
from lightning.pytorch.utilities import rank_zero_only

import train
from tvg_lightning.schema import Answer, Sample, Task

ROOT = Path(__file__).parents[1]

# Starts processes that have imported everything already, which takes longer than most runs; each is as fresh as any.
NEW_PROCESSES = multiprocessing.get_context("forkserver")
NEW_PROCESSES.set_forkserver_preload(["train", "torchmetrics", "tests.doubles"])


# ---- a config


def stage(name: str, steps: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "steps": steps, "batch_size": 2, "optimizer": {"lr": 1e-3}, **more}


def grpo(length: dict[str, int] | None = None, reward: dict[str, float] | None = None, **more: Any) -> dict[str, Any]:
    """The keys of a GRPO stage: what completions earn, and the settings of GRPO."""
    weights = (
        "format",
        "soft_iou",
        "anchor_accuracy",
        "verb_completion",
        "action_recognition",
        "video_description",
    )
    # short completions: a test needs the paths, not the policy's best
    settings = {"num_generations": 3, "generation": {"max_new_tokens": 70}, "beta": 0.0, **more}
    earned = {"reward": reward or dict.fromkeys(weights, 1.0), **({} if length is None else {"length": length})}
    return {"grpo": settings, **earned}


def write_config(folder: Path, shapes: Path, **model: Any) -> Path:
    """A small staged run in ``folder`` on the rendered videos in ``shapes``."""
    split = {"name": "held_out", "annotations": str(shapes / "held_out.jsonl"), "limit": 2}
    stages = [
        stage("explore", 6, **grpo(beta=0.04), mixture={"tvg": 0.7, "verb_completion": 0.3}),
        stage("imitate", 6, start_from="base", sft=True),
        stage("refine", 6, **grpo(beta=0.04)),
    ]
    config = {
        "seed_everything": 3,
        "trainer": {
            "accelerator": "cpu",
            "devices": 1,
            "default_root_dir": str(folder),
            "log_every_n_steps": 1,
            "num_sanity_val_steps": -1,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "logger": False,
            "callbacks": [
                {"class_path": "tests.doubles.LossLog", "init_args": {"file": str(folder / "losses.jsonl")}},
            ],
        },
        "step_checkpoint": {"every_n_steps": 2},
        "throughput": {"peak_tflops": 1.0},  # not measured
        "model": {
            "class_path": "tvg_lightning.modules.staged.StagedModule",
            "init_args": {
                "policy": {"checkpoint": "tiny"},
                "evaluation": {"max_new_tokens": 12},
                "stages": stages,
                **model,
            },
        },
        "data": {
            "videos": str(shapes / "videos"),
            "train": str(shapes / "train.jsonl"),
            "targets": str(shapes / "targets.jsonl"),
            "val": [split],
            "test": [split],
            "predict": str(shapes / "held_out.jsonl"),
            "frames": {"fps": 2.0, "max_frames": 8, "max_tokens": 1},
            "eval_tasks": ["tvg", "action_recognition"],
            "cache": str(shapes / "cache"),
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config_in.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


@contextmanager
def changed(path: Path) -> Iterator[dict[str, Any]]:
    """The config in a file; what is changed in it is written back."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    yield config
    path.write_text(yaml.safe_dump(config), encoding="utf-8")


def variety(text: str, task: Task, answer: Answer, sample: Sample) -> float:
    """The number of different letters of a text, of 64."""
    return min(1.0, len(set(text)) / 64)


def for_checkpoint(checkpoint: str, path: Path) -> Path:
    """The config in a file, of another policy than the packaged one; a random one earns by its letters, or nothing."""
    if checkpoint != "tiny":
        with changed(path) as config:
            settings = config["model"]["init_args"]
            settings["policy"]["checkpoint"] = checkpoint
            for one in settings["stages"]:
                if "grpo" in one:
                    one["reward"]["extra"] = [{"function": "tests.runs.variety"}]
    return path


def with_callback(name: str, **settings: Any) -> list[str]:
    """Arguments that add one of ``tests.doubles`` to a run."""
    return ["--trainer.callbacks+", json.dumps({"class_path": f"tests.doubles.{name}", "init_args": settings})]


WITHOUT_VALIDATION = ["--trainer.limit_val_batches", "0"]


# ---- processes


class Ended(NamedTuple):
    """How the processes of a run ended (an exit status, or minus a signal), and what they wrote of it."""

    codes: list[int]
    said: str


def in_new_process(*args: str | Path, limit_s: float = 300.0) -> Ended:
    """``train.py`` as a user starts it, with the processes that it starts; ended where they wait for ever."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "train.py"), *map(str, args)]
    with subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            _, said = process.communicate(timeout=limit_s)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return Ended([process.returncode], said)


def in_processes(folder: Path, *args: str | Path, num_processes: int = 1, limit_s: float = 300.0) -> Ended:
    """``train.main`` in new processes, each told its rank as by torchrun; what they write goes to files in ``folder``.

    They start at once, unlike ``in_new_process``.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"said{rank}.txt" for rank in range(num_processes)]
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0", "WORLD_SIZE": str(num_processes)}
    ranks = [{**where, "LOCAL_RANK": str(rank)} if num_processes > 1 else {} for rank in range(num_processes)]
    work = [(_train, file, rank, [str(arg) for arg in args]) for file, rank in zip(files, ranks, strict=True)]
    codes = _joined(work, limit_s)
    return Ended(codes, "".join(file.read_text(encoding="utf-8") for file in files))


def _train(said: Path, rank: dict[str, str], args: list[str]) -> None:
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, sys.stdout.fileno())
    os.dup2(descriptor, sys.stderr.fileno())
    os.chdir(ROOT)
    os.environ.update(rank)
    rank_zero_only.rank = int(rank.get("LOCAL_RANK", 0))  # read from the environment at the import, which has been
    train.main(args)


def by_two_ranks(function: Callable[[int, Path], None], folder: Path, limit_s: float = 120.0) -> None:
    """``function(rank, folder)`` in two processes of one group."""
    codes = _joined([(_in_group, function, rank, folder) for rank in range(2)], limit_s)
    assert codes == [0, 0]


def _in_group(function: Callable[[int, Path], None], rank: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    function(rank, folder)
    dist.destroy_process_group()


def _joined(work: list[tuple[Any, ...]], limit_s: float) -> list[int]:
    """The exit codes of processes, one a function with its arguments."""
    processes = [NEW_PROCESSES.Process(target=function, args=args) for function, *args in work]
    until = time.monotonic() + limit_s
    for process in processes:
        process.start()
    for process in processes:
        process.join(max(until - time.monotonic(), 0.0))
    late = [process for process in processes if process.is_alive()]
    for process in late:
        process.kill()
        process.join()
    assert not late, f"{len(late)} of {len(processes)} processes still wait after {limit_s:g} s"
    return [process.exitcode or 0 for process in processes]
