"""A GRPO step without the annotation as a row, with it, and with half of the rows pruned (``grpo.oracle``, OraRL).

    python -m benchmarks.oracle_step

The work of ``grpo_step`` (a random Qwen2.5-VL of 37 M parameters, 8 completions of equal length), each way in a process
of its own and in turns, so that its peak of resident memory is its own. Rows in the loss pass: 8, then 9, then 4.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.sides.running import RESULTS, joined, keep, median_of, run_side, table_head, table_row, with_spread
from benchmarks.sides.work import Measured, Work, save_model

CASES = {"1100x32": (32, 32), "1100x200": (32, 200), "2000x200": (44, 200)}
WAYS: dict[str, float | None] = {"GRPO": None, "oracle row": 0.0, "oracle row, half pruned": 0.5}


def run_case(work: Work, rounds: int, folder: Path) -> dict[str, Any]:
    """Measurements of every way, taken in turns."""
    measured: dict[str, list[Measured]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, prune in WAYS.items():
            result = run_side("ours", replace(work, prune=prune), folder)
            if result is None:
                raise SystemExit(f"{way}: out of memory")
            measured[way].append(result)
    return {"work": work.as_dict(), "sides": {way: joined(results) for way, results in measured.items()}}


def rows_of(case: dict[str, Any]) -> str:
    rows = ""
    plain = median_of(case["sides"]["GRPO"], "loss", "backward")
    for way, side in case["sides"].items():
        learning = [sum(step) for step in zip(side["phases_s"]["loss"], side["phases_s"]["backward"], strict=True)]
        rows += table_row(
            f"{side['prompt_tokens']} + {side['new_tokens']}", way, with_spread(side["seconds"]), with_spread(learning),
            f"{median_of(side, 'loss', 'backward') / plain:.2f}", f"{side['peak_gib'] - side['before_gib']:.2f}",
        )  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--repetitions", type=int, default=5, help="counted steps of a process")
    parser.add_argument("--rounds", type=int, default=2, help="processes of each way, in turns")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--gradient-checkpointing", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    cases = []
    columns = ["prompt + new tokens", "step", "whole s", "loss and backward s", "of GRPO's", "GiB above the start"]
    sys.stdout.write(table_head(*columns))
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder))
        for name in args.cases:
            side, new_tokens = CASES[name]
            work = Work(
                side, new_tokens, repetitions=args.repetitions, threads=args.threads,
                gradient_checkpointing=args.gradient_checkpointing,
            )  # fmt: skip
            cases.append(run_case(work, args.rounds, Path(folder)))
            sys.stdout.write(rows_of(cases[-1]))
            sys.stdout.flush()
            keep("oracle_step", cases, args.out)


if __name__ == "__main__":
    main()
