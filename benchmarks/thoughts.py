"""Is a thought worth anything here? Answers alone, free thoughts and anchors, trained alike, by kind of question.

    python -m benchmarks.thoughts 0 1 2

Every arm starts from the packaged policy and takes the same updates of the same prompts; ``answer_more`` samples more
completions, as many tokens as a thought takes; ``oracle`` is OraRL, from the answer alone. The table gives mIoU by
kind, mean and standard deviation over the seeds; the paired intervals are of the mean over seeds, with videos drawn
anew (``python -m tvg_lightning compare``).
Runs lie in runs/thoughts/<arm>/<seed>; what a run has of its checkpoint and its predictions is not made again.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tvg_lightning.data.moving_shapes.shares import ONE_WINDOW
from tvg_lightning.files import read_jsonl
from tvg_lightning.tools.compare import Answered, differences, mean_over_runs, read_ious, table

CONFIG = Path("benchmarks/thoughts.yaml")
DATA = Path("data/two_looks")
ROOT = Path("runs/thoughts")
RENDER = ("--train", "480", "--held_out", "1000", "--compositional", "48", "--kinds", ONE_WINDOW)
_IOU = ("--model.init_args.reward.iou", "2.0")
ARMS: dict[str, tuple[str, ...]] = {
    "answer": ("--data.thought", "false", *_IOU),
    "answer_more": ("--data.thought", "false", *_IOU, "--model.init_args.grpo.num_generations", "36"),
    "oracle": (
        *("--data.thought", "false", *_IOU),
        *("--model.init_args.grpo.scale_rewards", "none"),
        *("--model.init_args.grpo.oracle", '{"prune": 0.5}'),
        *("--model.init_args.grpo.clip_dual", "3.0"),
        *("--model.init_args.grpo.max_log_ratio", "20.0"),
    ),
    "thought": _IOU,
    "anchors": (
        *("--data.method", "tar_tvg"),
        *("--model.init_args.reward.soft_iou", "2.0"),
        *("--model.init_args.reward.anchor_accuracy", "1.0"),
        *("--model.init_args.reward.anchor_refinement", "0.5"),
        *("--model.init_args.reward.anchor_count", "1.0"),
    ),
}
PAIRS = (
    ("answer", "thought"),
    ("answer_more", "thought"),
    ("answer", "anchors"),
    ("thought", "anchors"),
    ("answer", "oracle"),
)


def folder_of(arm: str, seed: int) -> Path:
    return ROOT / arm / str(seed)


def train(arm: str, seed: int, more: Sequence[str]) -> None:
    """Fit, then predict on the held-out queries."""
    folder = folder_of(arm, seed)
    trained = folder / "checkpoints" / "final.ckpt"
    given = ["--config", str(CONFIG), "--seed_everything", str(seed), "--trainer.default_root_dir", str(folder)]
    command = [sys.executable, "train.py"]
    if not trained.exists():
        subprocess.run([*command, "fit", *given, *ARMS[arm], *more], check=True)
    if not list(folder.glob("predictions*.jsonl")):
        subprocess.run([*command, "predict", *given, *ARMS[arm], *more, "--ckpt_path", str(trained)], check=True)


def sampled_tokens(folder: Path) -> float:
    """Tokens that the run sampled in training, in millions."""
    lines = (line for file in sorted((folder / "traces").glob("*.jsonl")) for _, line in read_jsonl(file))
    return sum(line["num_tokens"] for line in lines) / 1e6


def score_rows(runs: Mapping[str, Sequence[Mapping[str, Answered]]], tokens: Mapping[str, Sequence[float]]) -> str:
    """One Markdown row an arm: mIoU over all and by kind, and the millions of tokens that were sampled."""
    kinds = sorted({one.kind for arm in runs.values() for run in arm for one in run.values()})
    lines = ["| mIoU | all | " + " | ".join(kinds) + " | M tokens |", "|" + "---|" * (len(kinds) + 3)]
    for arm, seeds in runs.items():
        cells = [
            _spread([statistics.fmean(one.iou for one in run.values() if kind in ("", one.kind)) for run in seeds])
            for kind in ("", *kinds)
        ]
        lines.append(f"| {arm} | " + " | ".join(cells) + f" | {statistics.fmean(tokens[arm]):.2f} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    mean = f"{statistics.fmean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="+", type=int)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--more", nargs=argparse.REMAINDER, default=[], help="further options of train.py, at the end")
    given = parser.parse_args()
    render = ["-m", "tvg_lightning", "render", "--out", str(DATA), *RENDER]
    subprocess.run([sys.executable, *render], check=True)
    for seed in given.seeds:
        for arm in given.arms:
            train(arm, seed, given.more)
    folders = {arm: [folder_of(arm, seed) for seed in given.seeds] for arm in given.arms}
    runs = {arm: [read_ious(folder) for folder in seeds] for arm, seeds in folders.items()}
    tokens = {arm: [sampled_tokens(folder) for folder in seeds] for arm, seeds in folders.items()}
    sys.stdout.write(f"\n{score_rows(runs, tokens)}\n")
    for first, second in PAIRS:
        if first in runs and second in runs:
            found = differences(mean_over_runs(runs[first]), mean_over_runs(runs[second]))
            sys.stdout.write(f"\n{second} minus {first}\n\n{table(found)}")


if __name__ == "__main__":
    main()
