"""The parts of a GRPO step alone, beside the naive path: G full rows, and ``generate`` with G sequences a prompt.

    python -m benchmarks.grpo_parts

Both sides are this project's process and stock transformers' model (``sides/naive.py``) on the same tokens; see
``grpo_step`` for the work. Rollout: the tower's pass and everything up to the last token. Loss: log-probabilities,
loss and backward pass; ours has the tower's features from the rollout, the naive path encodes the picture again.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.sides.running import RESULTS, in_turns, keep, same_work, table_head, table_row, with_spread
from benchmarks.sides.work import Work, save_model

CASES = {"1100x32": (32, 32), "1100x200": (32, 200)}
PARTS = {"rollout": ("vision", "rollout"), "loss and backward": ("loss", "backward")}


def rows_of(case: dict[str, Any]) -> str:
    ours, naive = case["sides"]["ours"], case["sides"]["naive"]
    rows = ""
    for part, phases in PARTS.items():
        seconds = [
            [sum(steps) for steps in zip(*(side["phases_s"].get(phase, []) for phase in names), strict=True)]
            for side, names in ((ours, phases), (naive, phases[1:]))
        ]
        ratio = statistics.median(seconds[1]) / statistics.median(seconds[0])
        rows += table_row(
            f"{ours['prompt_tokens']} + {ours['new_tokens']}", part, *map(with_spread, seconds), f"{ratio:.1f}"
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    cases = []
    sys.stdout.write(table_head("prompt + new tokens", "part", "ours s", "naive s", "times faster"))
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder))
        for name in args.cases:
            side, new_tokens = CASES[name]
            work = Work(side, new_tokens, repetitions=args.repetitions, threads=args.threads)
            sides = in_turns([("ours", None), ("naive", None)], work, 1, Path(folder))
            if sides["ours"] is None or sides["naive"] is None:
                raise SystemExit(f"{name}: a side ran out of memory")
            same_work(sides["ours"], sides["naive"])
            cases.append({"work": work.as_dict(), "sides": sides})
            sys.stdout.write(rows_of(cases[-1]))
            sys.stdout.flush()
            keep("grpo_parts", cases, args.out)


if __name__ == "__main__":
    main()
