"""Cost of a GRPO step as completions and prompt grow, beside the least operations that it needs.

    python -m benchmarks.grpo_growth

The work of ``grpo_step``, this project's side only. The share of the peak is those operations over the phase's
seconds, as a share of what a large product of two matrices reaches on the machine.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.sides.running import RESULTS, in_turns, keep, median_of, table_head, table_row, with_spread
from benchmarks.sides.work import Work, least_operations, measured_peak, save_model

# (side, new tokens, G): the first three grow in G, the last three in the prompt
CASES = [(32, 200, 8), (32, 200, 16), (32, 200, 32), (32, 32, 8), (44, 32, 8), (62, 32, 8)]
PHASES = ("vision", "rollout", "loss", "backward")


def run_case(work: Work, folder: Path) -> dict[str, Any]:
    peak = measured_peak(work.threads, work.dtype)
    sides = in_turns([("ours", None)], work, 1, folder)
    peak = max(peak, measured_peak(work.threads, work.dtype))
    ours = sides["ours"]
    if ours is None:
        raise SystemExit("out of memory")
    flops = least_operations(work, ours["prompt_tokens"])
    least = {"vision": flops.vision, "rollout": flops.rollout, "loss": flops.loss, "backward": flops.backward}
    return {
        "work": work.as_dict(),
        "sides": sides,
        "measured_peak_gflops": peak / 1e9,
        "least_operations_g": {phase: least[phase] / 1e9 for phase in PHASES},
        "share_of_peak": {phase: least[phase] / median_of(ours, phase) / peak for phase in PHASES},
    }


def row_of(case: dict[str, Any]) -> str:
    ours, least, share = case["sides"]["ours"], case["least_operations_g"], case["share_of_peak"]
    phases = [f"{median_of(ours, phase):.2f} s, {least[phase]:.0f} G, {share[phase]:.2f}" for phase in PHASES]
    return table_row(
        f"{ours['prompt_tokens']} + {case['work']['num_generations']} x {ours['new_tokens']}",
        with_spread(ours["seconds"]), f"{sum(least.values()):.0f}", *phases, f"{ours['peak_gib']:.2f}",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    cases = []
    sys.stdout.write(table_head("prompt + G x new tokens", "step s", "least operations, G", *PHASES, "GiB"))
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder))
        for side, new_tokens, num_generations in CASES:
            work = Work(side, new_tokens, num_generations, repetitions=args.repetitions, threads=args.threads)
            cases.append(run_case(work, Path(folder)))
            sys.stdout.write(row_of(cases[-1]))
            sys.stdout.flush()
            keep("grpo_growth", cases, args.out)


if __name__ == "__main__":
    main()
