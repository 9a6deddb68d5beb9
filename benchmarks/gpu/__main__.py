"""Everything that is to be known of a GPU, in at most nine minutes on an H100: numbers, seconds, memory, the plan.

    python -m benchmarks.gpu --out gpu.json
    python -m benchmarks.gpu --small --out small.json

Needs torch, transformers (5.17 or later), lightning, peft and torchmetrics, no network, no weights and no videos.
Every section runs in a process of its own within its time; one that fails or takes too long is reported, and the
others go on. Ends with 1 where a section failed or a number is out of its bounds. ``--small`` is the same on a CPU.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LIMITS_S = {"machine": 40, "attention": 70, "policy": 70, "full": 150, "lora": 130, "quickstart": 70}  # 530 in all
_LAST_WORDS = 1500
_PATIENCE = 10  # a small run may share a slow machine


def run_section(name: str, small: bool) -> dict[str, Any]:
    """A section in this process."""
    import torch

    from benchmarks.gpu import (
        absent,  # noqa: F401  # before the package
        machine,
        parity,
        step,
    )
    from benchmarks.gpu.sizes import sizes

    device, chosen = torch.device("cpu" if small else "cuda"), sizes(small)
    if name == "quickstart":
        from benchmarks.gpu.quickstart import quickstart

        return quickstart(small, device)
    if name in ("full", "lora"):
        return step.step(chosen.tuned("lora" if name == "lora" else "full"), device)
    return {"machine": machine.limits, "attention": parity.attention, "policy": parity.policy}[name](chosen, device)


def in_a_process(name: str, small: bool, limit_s: float) -> dict[str, Any]:
    """A section's result, or how it ended."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--section", name, *(["--small"] if small else [])]
    start_s = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {limit_s} s"}
    took_s = time.perf_counter() - start_s
    if done.returncode != 0:
        return {"failed": done.stderr.strip()[-_LAST_WORDS:], "took_s": took_s}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "took_s": took_s}


def table(results: dict[str, dict[str, Any]]) -> str:
    """Every number on a line of its own: section, name, value."""
    lines = ["| section | what | value |", "|---|---|---|"]
    for section, found in results.items():
        lines += [f"| {section} | {name} | {value} |" for name, value in flat(found)]
    return "\n".join(lines)


def flat(found: dict[str, Any], above: str = "") -> list[tuple[str, str]]:
    """
    >>> flat({"s": {"loss": 0.25, "update": 1}, "failed": "out of|memory"})
    [('s loss', '0.25'), ('s update', '1'), ('failed', 'out of/memory')]
    """
    rows: list[tuple[str, str]] = []
    for name, value in found.items():
        if isinstance(value, dict):
            rows += flat(value, f"{above}{name} ")
        else:
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            rows.append((above + name, text.replace("\n", " ").replace("|", "/")))
    return rows


def is_good(results: dict[str, dict[str, Any]]) -> bool:
    """True where every section came to its end and attention kept its bounds."""
    judged = [found for found in results.get("attention", {}).values() if isinstance(found, dict)]
    return all("failed" not in found for found in results.values()) and all(found["within"] for found in judged)


def main(args: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="small sizes, on a CPU")
    parser.add_argument("--sections", nargs="+", choices=LIMITS_S, default=list(LIMITS_S))
    parser.add_argument("--out", type=Path, help="the same as JSON, written anew after every section")
    parser.add_argument("--section", choices=LIMITS_S, help=argparse.SUPPRESS)
    given = parser.parse_args(args)
    if given.section is not None:
        sys.stdout.write("\n" + json.dumps(run_section(given.section, given.small)) + "\n")
        return 0
    results: dict[str, dict[str, Any]] = {}
    for name in given.sections:
        results[name] = in_a_process(name, given.small, LIMITS_S[name] * (_PATIENCE if given.small else 1))
        if given.out is not None:
            given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(table(results) + "\n")
    return 0 if is_good(results) else 1


if __name__ == "__main__":
    sys.exit(main())
