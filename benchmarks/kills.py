"""Kill a run of three stages with -9 again and again, go on each time, and compare with a run left in peace.

    python -m benchmarks.kills --kills 20
    python -m benchmarks.kills --kills 8 --strategy fsdp --steps 12

Moments are random in time, so that they fall into imports, rollouts, updates, checkpoints and changes of stage
alike. With a strategy the run is one of two processes, and a kill hits one of them, or both: what is left then is
ended within a second, as a cluster ends a job that has lost a process. Prints the counts; exits with 1 where a weight
or a trace differs.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml

ROOT = Path(__file__).parents[1]
OVERLAYS = {"none": None, "ddp": "cpu_2.yaml", "fsdp": "fsdp_cpu_2.yaml"}


def write_config(folder: Path, data: Path, steps: int) -> Path:
    """The quickstart with short stages, several updates a rollout, and a checkpoint after every step."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "configs" / "quickstart.yaml").read_text(encoding="utf-8"))
    for stage in config["model"]["init_args"]["stages"]:
        stage |= {"steps": steps, "batch_size": 4}
        if stage.get("grpo"):
            stage["grpo"] |= {"num_minibatches": 2, "num_iterations": 2, "num_generations": 4}
        if stage.get("harvest_from"):  # of a few steps: what is in the format is good enough
            stage["harvest_rule"] = {"min_answer_iou": 0.0, "min_last_anchor_iou": 0.0}
    config["trainer"] |= {"default_root_dir": str(folder), "logger": False, "enable_progress_bar": False}
    config["step_checkpoint"] = {"every_n_steps": 1}
    split = {"name": "held_out", "annotations": str(data / "held_out.jsonl"), "limit": 2}
    config["data"] |= {
        "videos": str(data / "videos"), "train": str(data / "train.jsonl"), "val": [split], "test": [split],
        "cache": str(data / "cache"),
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config_in.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


@dataclass
class Job:
    """A run that goes on from its last checkpoint, if there is one; its processes are one process group."""

    config: Path
    folder: Path
    overlay: str | None
    killed: Counter[str] = field(default_factory=Counter)  # what was hit, and how often

    @property
    def last(self) -> Path:
        return self.folder / "checkpoints" / "last.ckpt"

    def start(self) -> subprocess.Popen[bytes]:
        resume = ["--ckpt_path", str(self.last)] if self.last.exists() else []
        overlay = [] if self.overlay is None else ["--config", str(ROOT / "configs" / "strategy" / self.overlay)]
        command = [sys.executable, str(ROOT / "train.py"), "fit", "--config", str(self.config), *overlay, *resume]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (self.folder / "log.txt").open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment, start_new_session=True)

    def run(self, num_kills: int, dice: random.Random) -> None:
        """Run to the end through so many kills.

        Every other kill comes within the first seconds of a process, whatever it is doing then; the others wait for a
        new checkpoint first, so that the run gets on.
        """
        while True:
            process = self.start()
            if self.killed.total() < num_kills:
                is_early = self.killed.total() % 2 == 1
                if not is_early:
                    self._wait_for_progress(process)
                if self._kill_after(process, dice.uniform(0.5, 10.0) if is_early else dice.uniform(0.0, 1.5), dice):
                    sys.stdout.write(f"kill {self.killed.total()} of {num_kills}\n")
                    sys.stdout.flush()
                    continue
            process.wait()
            if process.returncode != 0:
                raise SystemExit(f"the run failed, see {self.folder / 'log.txt'}")
            return

    def _wait_for_progress(self, process: subprocess.Popen[bytes]) -> None:
        before = self.last.stat().st_mtime_ns if self.last.exists() else 0
        while process.poll() is None and (not self.last.exists() or self.last.stat().st_mtime_ns == before):
            time.sleep(0.01)

    def _kill_after(self, process: subprocess.Popen[bytes], seconds: float, dice: random.Random) -> bool:
        """Kill the run after ``seconds``; False where it ended by itself before."""
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            children = subprocess.run(
                ["pgrep", "-P", str(process.pid)], capture_output=True, check=False
            ).stdout.split()
            victims = {"first": [process.pid], "second": [int(pid) for pid in children]}
            victim = dice.choice(["all", *(name for name, pids in victims.items() if pids)])
            if victim != "all":
                os.kill(victims[victim][0], signal.SIGKILL)
                time.sleep(dice.uniform(0.0, 1.0))  # the other meets the gap in its next collective
            with suppress(ProcessLookupError):  # Lightning may have ended it by itself
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self.killed[victim] += 1
            return True
        return False


def traces_of(folder: Path) -> dict[str, bytes]:
    """Contents of the files of traces and harvests, by file name."""
    return {path.name: path.read_bytes() for name in ("traces", "harvest") for path in (folder / name).glob("*.jsonl")}


def differences(whole: Path, cut: Path) -> list[str]:
    """Names of the weights and of the files of traces that differ between two runs."""
    ours, theirs = (torch.load(f / "checkpoints" / "final.ckpt", weights_only=True)["state_dict"] for f in (whole, cut))
    found = [name for name in ours.keys() ^ theirs.keys()]
    found += [name for name in ours.keys() & theirs.keys() if not torch.equal(ours[name], theirs[name])]
    kept, again = traces_of(whole), traces_of(cut)
    return found + [name for name in kept.keys() | again.keys() if kept.get(name) != again.get(name)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=60, help="of each stage")
    parser.add_argument("--strategy", choices=OVERLAYS, default="none", help="ddp and fsdp: two processes, on a CPU")
    parser.add_argument("--out", type=Path, default=Path("runs/kills"))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.out.exists():
        raise SystemExit(f"{given.out} exists already: remove it or choose another --out")
    data = given.out / "data"
    render = [sys.executable, "-m", "tvg_lightning", "render", "--out", str(data), "--train", "8", "--held_out", "3"]
    subprocess.run([*render, "--compositional", "2"], cwd=ROOT, check=True)
    jobs = {}
    for name, num_kills in (("whole", 0), ("again", 0), ("cut", given.kills)):
        folder = given.out / name
        jobs[name] = Job(write_config(folder, data, given.steps), folder, OVERLAYS[given.strategy])
        jobs[name].run(num_kills, random.Random(given.seed))
    found = {name: differences(jobs["whole"].folder, jobs[name].folder) for name in ("again", "cut")}
    killed = jobs["cut"].killed
    sys.stdout.write(json.dumps({"strategy": given.strategy, "kills": killed, "differ": found}) + "\n")
    sys.exit(1 if any(found.values()) or killed.total() < given.kills else 0)


if __name__ == "__main__":
    main()
