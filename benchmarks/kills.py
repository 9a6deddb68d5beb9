"""Kill a run of three stages with -9 again and again, go on each time, and compare with a run left in peace.

    python -m benchmarks.kills --kills 20

Moments are random in time, so that they fall into imports, rollouts, updates, checkpoints and changes of stage
alike. Prints the count; exits with 1 where a weight, a loss or a trace differs.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
import yaml

ROOT = Path(__file__).parents[1]
STEPS = 60  # of each stage


def write_config(folder: Path, data: Path) -> Path:
    """The quickstart with short stages, several updates a rollout, and a checkpoint after every step."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "configs" / "quickstart.yaml").read_text(encoding="utf-8"))
    for stage in config["model"]["init_args"]["stages"]:
        stage |= {"steps": STEPS, "batch_size": 4}
        if stage.get("grpo"):
            stage["grpo"] |= {"num_minibatches": 2, "num_iterations": 2, "num_generations": 4}
        if stage.get("harvest_from"):
            del stage["harvest_from"]
    config["trainer"] |= {"default_root_dir": str(folder), "logger": False, "enable_progress_bar": False}
    for callback in config["trainer"]["callbacks"]:
        if callback["class_path"].endswith("StepCheckpoint"):
            callback["init_args"] = {"every_n_steps": 1}
    split = {"name": "held_out", "annotations": str(data / "held_out.jsonl"), "limit": 2}
    config["data"] |= {
        "videos": str(data / "videos"), "train": str(data / "train.jsonl"), "val": [split], "test": [split],
        "cache": str(data / "cache"), "targets": str(data / "targets.jsonl"),
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config_in.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def start(config: Path, folder: Path) -> subprocess.Popen[bytes]:
    """The run, from its last checkpoint where there is one."""
    last = folder / "checkpoints" / "last.ckpt"
    resume = ["--ckpt_path", str(last)] if last.exists() else []
    command = [sys.executable, str(ROOT / "train.py"), "fit", "--config", str(config), *resume]
    log = (folder / "log.txt").open("ab")
    return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT)})


def run_with_kills(config: Path, folder: Path, num_kills: int, dice: random.Random) -> int:
    """Run to the end through so many kills; how many there were.

    Every other kill comes within the first seconds of a process, whatever it is doing then; the others wait for a
    new checkpoint first, so that the run gets on.
    """
    killed = 0
    while True:
        process = start(config, folder)
        if killed < num_kills:
            is_dead = _dies_early(process, dice) if killed % 2 else _dies_after_progress(process, folder, dice)
            if is_dead:
                killed += 1
                sys.stdout.write(f"kill {killed} of {num_kills}\n")
                sys.stdout.flush()
                continue
        process.wait()
        if process.returncode != 0:
            raise SystemExit(f"the run failed, see {folder / 'log.txt'}")
        return killed


def _dies_early(process: subprocess.Popen[bytes], dice: random.Random) -> bool:
    return _kill_after(process, dice.uniform(0.5, 10.0))


def _dies_after_progress(process: subprocess.Popen[bytes], folder: Path, dice: random.Random) -> bool:
    last = folder / "checkpoints" / "last.ckpt"
    before = last.stat().st_mtime_ns if last.exists() else 0
    while process.poll() is None and (not last.exists() or last.stat().st_mtime_ns == before):
        time.sleep(0.01)
    return _kill_after(process, dice.uniform(0.0, 1.5))


def _kill_after(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether it was still alive to be killed."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


def traces_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "traces").glob("*.jsonl"))}


def differences(whole: Path, cut: Path) -> list[str]:
    """What the killed run did not end up with alike."""
    weights = [torch.load(f / "checkpoints" / "final.ckpt", weights_only=False)["state_dict"] for f in (whole, cut)]
    found = [name for name, value in weights[0].items() if not torch.equal(value, weights[1][name])]
    ours, theirs = traces_of(whole), traces_of(cut)
    return found + [name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("runs/kills"))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.out.exists():
        raise SystemExit(f"{given.out} exists already: remove it or choose another --out")
    data = given.out / "data"
    render = [sys.executable, "-m", "tvg_lightning", "render", "--out", str(data), "--train", "8", "--held_out", "3"]
    subprocess.run([*render, "--compositional", "2"], cwd=ROOT, check=True)
    (data / "targets.jsonl").write_bytes((ROOT / "configs" / "tvg_r1" / "tiny" / "teacher.jsonl").read_bytes())
    whole, cut = given.out / "whole", given.out / "cut"
    run_with_kills(write_config(whole, data), whole, 0, random.Random())
    killed = run_with_kills(write_config(cut, data), cut, given.kills, random.Random(given.seed))
    found = differences(whole, cut)
    sys.stdout.write(json.dumps({"kills": killed, "differ": found}) + "\n")
    sys.exit(1 if found or killed < given.kills else 0)


if __name__ == "__main__":
    main()
