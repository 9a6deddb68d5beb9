"""The quickstart over several seeds: every stage's metrics on every validation set, mean and standard deviation.

    python -m benchmarks.quickstart 0 1 2

Each run lies in runs/seeds/<seed>; a folder that exists already is refused, for it may be of other code.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

METRICS = ("mIoU", "R1@0.3", "R1@0.5", "R1@0.7", "VC", "AR", "VD", "format_rate")
ROOT = Path("runs/seeds")


def fresh_folders(seeds: Sequence[int], root: Path) -> dict[int, Path]:
    """The folder of each seed's run; a ValueError, before any is trained, where one exists already."""
    folders = {seed: root / str(seed) for seed in seeds}
    taken = [str(folder) for folder in folders.values() if folder.exists()]
    if taken:
        raise ValueError(f"there are runs already in {', '.join(taken)}: remove them or give other seeds")
    return folders


def train(seed: int, folder: Path) -> None:
    """One run of the quickstart; only the seed and the place of its files differ."""
    command = [sys.executable, "train.py", "fit", "--config", "configs/quickstart.yaml"]
    command += ["--seed_everything", str(seed), "--trainer.default_root_dir", str(folder)]
    command += ["--trainer.logger.init_args.save_dir", str(folder)]
    subprocess.run(command, check=True)


def table(summaries: list[list[dict[str, Any]]], split: str | None = None) -> str:
    """One Markdown row a stage; the held-out split, or another one by its name."""
    lines = ["| stage | " + " | ".join(METRICS) + " | anchors | seconds |", "|" + "---|" * (len(METRICS) + 3)]
    for stages in zip(*summaries, strict=True):
        rows = [stage if split is None else stage[split] for stage in stages]
        cells = [_spread([row[metric] for row in rows]) for metric in METRICS]
        anchors = zip_longest(*(row["anchor_mIoU"] for row in rows))  # some seeds may lack a later anchor
        cells.append(" ".join(_spread(list(values)) for values in anchors))
        cells.append(_spread([stage["seconds"] for stage in stages], digits=0))
        lines.append(f"| {stages[0]['stage']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _spread(values: list[float | None], digits: int = 3) -> str:
    """Mean ± standard deviation of the seeds that have the metric; of a single one there is no deviation."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    mean = f"{statistics.fmean(known):.{digits}f}"
    return mean if len(known) == 1 else f"{mean} ± {statistics.stdev(known):.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="+", type=int)
    folders = fresh_folders(parser.parse_args().seeds, ROOT)
    for seed, folder in folders.items():
        train(seed, folder)
    summaries = [json.loads((folder / "summary.json").read_text(encoding="utf-8")) for folder in folders.values()]
    others = [key for key, value in summaries[0][0].items() if isinstance(value, dict)]
    for split in (None, *others):
        sys.stdout.write(f"\n{split or 'held_out'}\n\n{table(summaries, split)}\n")


if __name__ == "__main__":
    main()
