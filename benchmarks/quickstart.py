"""The quickstart over several seeds: every stage's figures on every validation set, mean and standard deviation.

    python -m benchmarks.quickstart 0 1 2

Each run lies in runs/seeds/<seed>; a run that has its summary.json is not repeated.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

FIGURES = ("mIoU", "R1@0.3", "R1@0.5", "R1@0.7", "VC", "AR", "VD", "format_rate")
ROOT = Path("runs/seeds")


def train(seed: int) -> None:
    """One run of the quickstart; only the seed and the place of its files differ."""
    folder = ROOT / str(seed)
    command = [sys.executable, "train.py", "fit", "--config", "configs/quickstart.yaml"]
    command += ["--seed_everything", str(seed), "--trainer.default_root_dir", str(folder)]
    command += ["--trainer.logger.init_args.save_dir", str(folder)]
    subprocess.run(command, check=True)


def table(summaries: list[list[dict[str, Any]]], split: str | None = None) -> str:
    """One Markdown row a stage; the held-out split, or another one by its name."""
    lines = ["| stage | " + " | ".join(FIGURES) + " | anchors | seconds |", "|" + "---|" * (len(FIGURES) + 3)]
    for stages in zip(*summaries, strict=True):
        rows = [stage if split is None else stage[split] for stage in stages]
        cells = [_spread([row[figure] for row in rows]) for figure in FIGURES]
        anchors = zip(*(row["anchor_mIoU"] for row in rows), strict=False)
        cells.append(" ".join(_spread(list(values)) for values in anchors))
        cells.append(_spread([stage["seconds"] for stage in stages], digits=0))
        lines.append(f"| {stages[0]['stage']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _spread(values: list[float | None], digits: int = 3) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    return f"{statistics.fmean(known):.{digits}f} ± {statistics.stdev(known) if len(known) > 1 else 0:.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="+", type=int)
    seeds = parser.parse_args().seeds
    for seed in seeds:
        if not (ROOT / str(seed) / "summary.json").is_file():
            train(seed)
    summaries = [json.loads((ROOT / str(seed) / "summary.json").read_text(encoding="utf-8")) for seed in seeds]
    others = [key for key, value in summaries[0][0].items() if isinstance(value, dict)]
    for split in (None, *others):
        print(f"\n{split or 'held_out'}\n\n{table(summaries, split)}")


if __name__ == "__main__":
    main()
