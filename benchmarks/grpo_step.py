"""One GRPO step of this project beside one of TRL's GRPOTrainer: same weights, same tokens, same machine.

    pip install --target trl-peer --no-deps -r benchmarks/requirements-bench.txt
    python -m benchmarks.grpo_step --trl-path trl-peer

A random Qwen2.5-VL of 37 M parameters, tower frozen, beta 0, G completions that are all as long as they may be.
TRL has no way for video, so both read one picture: ours as two equal frames, which the tower turns into as many
tokens. Each side runs in a process of its own, so that its peak of resident memory is its own, and the two take
turns, so that a slow minute of the machine hits both. The first step of each process is not counted.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import Qwen2_5_VLTextConfig
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig

from benchmarks.step_work import Measured, Work, measured_peak, model_config, save_model
from tvg_lightning.policy.flops import step_flops

CASES = {"1100x32": (32, 32), "1100x200": (32, 200), "2000x32": (44, 32), "4000x32": (62, 32)}  # (side, new tokens)
HEADER = (
    "| prompt + new tokens | ours s | TRL s | times faster | ours GiB | TRL GiB | share of memory "
    "| rollout share | of the peak |"
)


def run_side(side: str, work: Work, folder: Path, trl_path: str | None) -> Measured | None:
    """One side in a process of its own; None where the system ended it, which is what it does when memory ends."""
    path = os.pathsep.join(filter(None, [os.getcwd(), trl_path if side == "trl" else None]))
    command = [sys.executable, "-m", f"benchmarks.step_{side}", json.dumps(asdict(work)), str(folder)]
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(work.threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode == -9:
        return None
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-4000:]}")
    return Measured(**json.loads(done.stdout.strip().splitlines()[-1]))


def run_case(work: Work, rounds: int, folder: Path, trl_path: str | None) -> dict[str, Any]:
    """Both sides in turns, ``rounds`` times; every round its own processes."""
    peak = measured_peak(work.threads, work.dtype)
    measured: dict[str, list[Measured]] = {"ours": [], "trl": []}
    for _ in range(rounds):
        for side, results in measured.items():
            result = run_side(side, work, folder, trl_path)
            if result is not None:
                results.append(result)
    case: dict[str, Any] = {"work": asdict(work), "sides": {}}
    for side, results in measured.items():
        case["sides"][side] = joined(results) if results else None
    ours, theirs = case["sides"]["ours"], case["sides"]["trl"]
    if theirs is not None:
        for key in ("prompt_tokens", "vision_tokens", "new_tokens", "parameters"):
            assert ours[key] == theirs[key], f"{key}: ours {ours[key]}, TRL {theirs[key]}"
    config = model_config()
    assert isinstance(config.text_config, Qwen2_5_VLTextConfig)
    assert isinstance(config.vision_config, Qwen2_5_VLVisionConfig)
    flops = step_flops(
        config.text_config, config.vision_config, [(1, 2 * work.side, 2 * work.side)],
        [ours["prompt_tokens"]], [[work.new_tokens] * work.num_generations],
    )  # fmt: skip
    peak = max(peak, measured_peak(work.threads, work.dtype))  # before and after: a busy moment hides the peak
    phases = {name: statistics.median(times) for name, times in ours["phases_s"].items()}
    return case | {
        "measured_peak_gflops": peak / 1e9,
        "least_operations_g": {"see": flops.see / 1e9, "rollout": flops.rollout / 1e9,
                               "loss": flops.loss / 1e9, "backward": flops.backward / 1e9},
        "ours_phases_s": phases,
        "rollout_share": phases["rollout"] / sum(phases.values()),
        "share_of_peak": flops.total / ours["median_s"] / peak,
    }  # fmt: skip


def joined(results: Sequence[Measured]) -> dict[str, Any]:
    """All rounds of one side: every step's seconds, the largest of the memory peaks."""
    seconds = sorted(second for result in results for second in result.seconds)
    phases = {name: [s for r in results for s in r.phases_s[name]] for name in results[0].phases_s}
    return asdict(results[0]) | {
        "seconds": seconds,
        "phases_s": phases,
        "median_s": statistics.median(seconds),
        "processor_s": [s for result in results for s in result.processor_s],
        "spread_s": [seconds[0], seconds[-1]],
        "peak_gib": max(result.peak_gib for result in results),
    }


def table_row(case: dict[str, Any]) -> str:
    ours, theirs = case["sides"]["ours"], case["sides"]["trl"]
    cells = [f"{ours['prompt_tokens']} + {ours['new_tokens']}", _seconds(ours)]
    if theirs is None:
        cells += ["out of memory", "", f"{ours['peak_gib']:.2f}", "", ""]
    else:
        cells += [_seconds(theirs), f"{theirs['median_s'] / ours['median_s']:.1f}"]
        cells += [f"{ours['peak_gib']:.2f}", f"{theirs['peak_gib']:.2f}"]
        cells += [f"{ours['peak_gib'] / theirs['peak_gib']:.2f}"]
    cells += [f"{case['rollout_share']:.2f}", f"{case['share_of_peak']:.2f}"]
    return "| " + " | ".join(cells) + " |"


def _seconds(side: dict[str, Any]) -> str:
    low, high = side["spread_s"]
    return f"{side['median_s']:.2f} ({low:.2f} to {high:.2f})"


def machine() -> dict[str, Any]:
    cpus = Path("/proc/cpuinfo")
    names = [line for line in cpus.read_text().splitlines() if "model name" in line] if cpus.exists() else []
    return {
        "cpu": names[0].split(":")[1].strip() if names else platform.processor(),
        "num_cpus": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--repetitions", type=int, default=5, help="counted steps of a process")
    parser.add_argument("--rounds", type=int, default=1, help="processes of each side, in turns")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--gradient-checkpointing", action="store_true", help="on both sides")
    parser.add_argument("--trl-rows", type=int, default=8, help="completions a backward pass of TRL; fewer need less")
    parser.add_argument("--trl-path", help="folder in which TRL and what it needs were installed")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results.json"))
    args = parser.parse_args()
    if args.trl_path is None and find_spec("trl") is None:
        parser.error("trl is not installed; see the first lines of benchmarks/requirements-bench.txt")
    if args.trl_path is not None and not (Path(args.trl_path) / "trl").is_dir():
        parser.error(f"there is no trl in {args.trl_path}; see the first lines of benchmarks/requirements-bench.txt")
    report: dict[str, Any] = {"machine": machine(), "cases": []}
    sys.stdout.write(HEADER + "\n|" + "---|" * HEADER.count(" | ") + "---|\n")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder))
        for name in args.cases:
            side, new_tokens = CASES[name]
            work = Work(
                side, new_tokens, repetitions=args.repetitions, threads=args.threads,
                gradient_checkpointing=args.gradient_checkpointing, trl_rows=args.trl_rows,
            )  # fmt: skip
            report["cases"].append(run_case(work, args.rounds, Path(folder), args.trl_path))
            sys.stdout.write(table_row(report["cases"][-1]) + "\n")
            sys.stdout.flush()
            args.out.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
