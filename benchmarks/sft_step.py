"""One SFT step of this project beside one of transformers' Trainer: same weights, same samples, same loss.

    pip install --target benchmarks/peers --no-deps -r benchmarks/requirements-bench.txt
    python -m benchmarks.sft_step

Four samples of unequal length a step, tower frozen; the model of ``grpo_step``. Ours lays them in one row without
padding and makes logits of the completions' tokens only; the Trainer's batch is padded to the longest.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.grpo_step import PEERS
from benchmarks.sides.running import RESULTS, in_turns, keep, same_work, table_head, table_row, with_spread
from benchmarks.sides.work import Work, save_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", type=Path, default=PEERS, help="folder in which accelerate was installed")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    if not (args.peers / "accelerate").is_dir():
        parser.error(f"there is no accelerate in {args.peers}; see benchmarks/requirements-bench.txt")
    work = Work(32, 160, repetitions=args.repetitions, threads=args.threads)
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder))
        sides = in_turns([("sft_ours", None), ("sft_trainer", args.peers)], work, 1, Path(folder))
    ours, theirs = sides["sft_ours"], sides["sft_trainer"]
    if ours is None or theirs is None:
        raise SystemExit("a side ran out of memory")
    same_work(ours, theirs)
    assert abs(ours["first_loss"] - theirs["first_loss"]) < 1e-3, (ours["first_loss"], theirs["first_loss"])
    ratio = theirs["median_s"] / ours["median_s"]
    sys.stdout.write(table_head("tokens", "ours s", "Trainer s", "times faster", "ours GiB", "Trainer GiB"))
    sys.stdout.write(
        table_row(
            f"{ours['prompt_tokens']} + {ours['new_tokens']}", with_spread(ours["seconds"]),
            with_spread(theirs["seconds"]), f"{ratio:.1f}", f"{ours['peak_gib']:.2f}", f"{theirs['peak_gib']:.2f}",
        )
    )  # fmt: skip
    keep("sft_step", [{"work": work.as_dict(), "sides": sides}], args.out)


if __name__ == "__main__":
    main()
