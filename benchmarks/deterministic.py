"""A GRPO step on a GPU, as it is and with deterministic algorithms: seconds, memory, and whether two runs are equal.

    python -m benchmarks.deterministic
    python -m benchmarks.deterministic --device cpu --side 4 --new_tokens 4 --repetitions 1

``trainer.deterministic: true`` asks for the same algorithms. Both ways take turns in processes of their own, since the
setting is for a whole process. Prints one JSON object: medians with the least and the most, and by way whether the
weights of two runs of the same steps are equal to the bit.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.sides.ours import OurStep
from benchmarks.sides.work import Work, save_model
from tvg_lightning.data.caches.tensor_store import tensor_bytes
from tvg_lightning.modules.phases import Phases


def measured(work: Work, folder: Path, device: str) -> dict[str, Any]:
    """Seconds of every step after the first, the most memory, and a digest of the weights that result."""
    ours, clock, seconds = OurStep(work, folder, device), Phases(), []
    for number in range(1 + work.repetitions):
        started_s = time.perf_counter()
        ours.take(number, clock)
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started_s)
    digest = hashlib.sha256()
    for parameter in ours.policy.parameters():
        digest.update(tensor_bytes(parameter))
    peak_gib = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None
    return {"seconds": seconds[1:], "peak_gib": peak_gib, "weights": digest.hexdigest()}


def in_a_process(work: Work, folder: Path, device: str, deterministic: bool) -> dict[str, Any]:
    """``measured`` in a fresh process."""
    # what CUDA's matrix products need for the same result each time
    environment = {**os.environ, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"} if deterministic else dict(os.environ)
    command = [
        sys.executable,
        "-m",
        "benchmarks.deterministic",
        "--one",
        json.dumps([work.as_dict(), str(folder), deterministic]),
    ]
    done = subprocess.run([*command, "--device", device], env=environment, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compared(work: Work, folder: Path, device: str) -> dict[str, Any]:
    """Both ways twice, in turns."""
    turns = [
        (way, in_a_process(work, folder, device, way == "deterministic")) for way in 2 * ("as_is", "deterministic")
    ]
    result: dict[str, Any] = {"device": torch.cuda.get_device_name() if device == "cuda" else device, **work.as_dict()}
    for way in ("as_is", "deterministic"):
        runs = [run for name, run in turns if name == way]
        seconds = [s for run in runs for s in run["seconds"]]
        result[way] = {
            "median_s": statistics.median(seconds),
            "least_s": min(seconds),
            "most_s": max(seconds),
            "peak_gib": runs[0]["peak_gib"],
            "runs_are_equal": len({run["weights"] for run in runs}) == 1,
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--side", type=int, default=62, help="the picture has side x side tokens")
    parser.add_argument("--new_tokens", type=int, default=200)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: there is no GPU here; --device cpu tries the same, small")
    if given.one is not None:
        work, folder, deterministic = json.loads(given.one)
        torch.use_deterministic_algorithms(deterministic)
        sys.stdout.write(json.dumps(measured(Work(**work), Path(folder), given.device)) + "\n")
        return
    work = Work(given.side, given.new_tokens, repetitions=given.repetitions, dtype=given.dtype)
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder))
        sys.stdout.write(json.dumps(compared(work, Path(folder), given.device), indent=1) + "\n")


if __name__ == "__main__":
    main()
