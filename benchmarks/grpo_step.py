"""One GRPO step of this project beside one of TRL's GRPOTrainer: same weights, same tokens, same machine.

    pip install --target benchmarks/peers --no-deps -r benchmarks/requirements-bench.txt
    python -m benchmarks.grpo_step

A random Qwen2.5-VL of 37 M parameters, tower frozen, beta 0, G completions that are all as long as they may be.
TRL has no way for video, so both read one picture: ours as two equal frames, which the tower turns into as many
tokens. Each side runs in a process of its own, so that its peak of resident memory is its own, and the two take
turns. The first step of each process is not counted.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.sides.running import (
    RESULTS,
    in_turns,
    keep,
    median_of,
    same_work,
    table_head,
    table_row,
    with_spread,
)
from benchmarks.sides.work import Work, least_operations, measured_peak, save_model

# side, new tokens, completions that TRL reads at a time in its loss: the last takes 8.2 GiB with two
CASES = {"1100x32": (32, 32, 8), "1100x200": (32, 200, 8), "2000x32": (44, 32, 8), "4000x32": (62, 32, 2)}
PEERS = Path("benchmarks/peers")


def run_case(work: Work, rounds: int, folder: Path, peers: Path) -> dict[str, Any]:
    """Measurements of both sides, taken in turns, and the share of the machine's peak that ours reaches."""
    peak = measured_peak(work.threads, work.dtype)
    sides = in_turns([("ours", None), ("trl", peers)], work, rounds, folder)
    peak = max(peak, measured_peak(work.threads, work.dtype))  # before and after: a busy moment hides the peak
    ours, theirs = sides["ours"], sides["trl"]
    if ours is None:
        raise SystemExit("ours ran out of memory")
    if theirs is not None:
        same_work(ours, theirs)
    flops = least_operations(work, ours["prompt_tokens"])
    return {
        "work": work.as_dict(),
        "sides": sides,
        "measured_peak_gflops": peak / 1e9,
        "rollout_share": median_of(ours, "rollout") / ours["median_s"],
        "share_of_peak": flops.total / ours["median_s"] / peak,
    }


def row_of(case: dict[str, Any]) -> str:
    ours, theirs = case["sides"]["ours"], case["sides"]["trl"]
    cells = [f"{ours['prompt_tokens']} + {ours['new_tokens']}", with_spread(ours["seconds"])]
    if theirs is None:
        cells += ["out of memory", "", f"{ours['peak_gib']:.2f}", "", ""]
    else:
        cells += [with_spread(theirs["seconds"]), f"{theirs['median_s'] / ours['median_s']:.1f}"]
        cells += [f"{ours['peak_gib']:.2f}", f"{theirs['peak_gib']:.2f}"]
        cells += [f"{ours['peak_gib'] / theirs['peak_gib']:.2f}"]
    return table_row(*cells, f"{case['rollout_share']:.2f}", f"{case['share_of_peak']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--repetitions", type=int, default=5, help="counted steps of a process")
    parser.add_argument("--rounds", type=int, default=1, help="processes of each side, in turns")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--gradient-checkpointing", action="store_true", help="on both sides")
    parser.add_argument(
        "--peers", type=Path, default=PEERS, help="folder in which TRL and what it needs were installed"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    if not (args.peers / "trl").is_dir():
        parser.error(f"there is no trl in {args.peers}; see the first lines of benchmarks/requirements-bench.txt")
    cases = []
    columns = ["prompt + new tokens", "ours s", "TRL s", "times faster", "ours GiB", "TRL GiB", "share of memory"]
    sys.stdout.write(table_head(*columns, "rollout's share of ours", "share of the measured peak"))
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder))
        for name in args.cases:
            side, new_tokens, trl_rows = CASES[name]
            work = Work(
                side, new_tokens, repetitions=args.repetitions, threads=args.threads,
                gradient_checkpointing=args.gradient_checkpointing, trl_rows=trl_rows,
            )  # fmt: skip
            cases.append(run_case(work, args.rounds, Path(folder), args.peers))
            sys.stdout.write(row_of(cases[-1]))
            sys.stdout.flush()
            keep("grpo_step", cases, args.out)


if __name__ == "__main__":
    main()
