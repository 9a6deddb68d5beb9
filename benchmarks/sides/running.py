"""Sides of a comparison, each in processes of its own and in turns; what they measured, joined and kept."""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.sides.work import Measured, Work

RESULTS = Path("benchmarks/results.json")


def run_side(side: str, work: Work, folder: Path, peers: Path | None = None) -> Measured | None:
    """One process of ``benchmarks.sides.<side>``; None where the system ended it, as it does when memory ends."""
    path = os.pathsep.join([os.getcwd(), *([str(peers)] if peers else [])])
    command = [sys.executable, "-m", f"benchmarks.sides.{side}", json.dumps(asdict(work)), str(folder)]
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(work.threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode == -9:
        return None
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-4000:]}")
    return Measured(**json.loads(done.stdout.strip().splitlines()[-1]))


def in_turns(
    sides: Sequence[tuple[str, Path | None]], work: Work, rounds: int, folder: Path
) -> dict[str, dict[str, Any] | None]:
    """Every side's processes, ``rounds`` of them in turns, so that a slow minute of the machine hits all sides."""
    measured: dict[str, list[Measured]] = {side: [] for side, _ in sides}
    for _ in range(rounds):
        for side, peers in sides:
            result = run_side(side, work, folder, peers)
            if result is not None:
                measured[side].append(result)
    return {side: joined(results) if results else None for side, results in measured.items()}


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


def same_work(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Assert that both sides read and wrote as many tokens with as many parameters."""
    for key in ("prompt_tokens", "vision_tokens", "new_tokens", "parameters"):
        assert one[key] == other[key], f"{key}: {one[key]} and {other[key]}"


def median_of(side: dict[str, Any], *phases: str) -> float:
    """The median over the steps of the sum of some phases."""
    return statistics.median(map(sum, zip(*(side["phases_s"][phase] for phase in phases), strict=True)))


def with_spread(seconds: Sequence[float]) -> str:
    """
    >>> with_spread([3.0, 1.0, 2.5])
    '2.50 (1.00 to 3.00)'
    """
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def table_head(*columns: str) -> str:
    return "| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|\n"


def table_row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |\n"


def machine() -> dict[str, Any]:
    cpus = Path("/proc/cpuinfo")
    names = [line for line in cpus.read_text().splitlines() if "model name" in line] if cpus.exists() else []
    return {
        "cpu": names[0].split(":")[1].strip() if names else platform.processor(),
        "num_cpus": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers")},
    }


def keep(benchmark: str, cases: list[dict[str, Any]], out: Path) -> None:
    """Write a benchmark's results beside those of the others."""
    results = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    results[benchmark] = {"machine": machine(), "cases": cases}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
