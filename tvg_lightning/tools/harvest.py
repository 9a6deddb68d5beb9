"""``python -m tvg_lightning harvest``: from the traces of a GRPO run to a set for supervised fine-tuning."""

import sys
from collections import Counter
from pathlib import Path

from tvg_lightning.files import refuse_existing
from tvg_lightning.harvest import HarvestRule, harvest, refusal
from tvg_lightning.progress import tracked
from tvg_lightning.traces import read_traces, write_traces


def main(traces: list[Path], out: Path, rule: HarvestRule = HarvestRule()) -> None:  # noqa: B008  # frozen
    """Keep the traces worth learning from, and say why the others were left.

    Args:
        traces: files that AnchorTrace wrote.
        out: file to write; give it to data.targets.
        rule: thresholds (TAR-TVG's by default).
    """
    refuse_existing(out)
    found = [trace for path in traces for trace in tracked(read_traces(path), f"reading {path.name}", "trace")]
    kept = harvest(found, rule)
    reasons = Counter(reason for trace in found if (reason := refusal(trace, rule)) is not None)
    num_more = len(found) - len(kept) - reasons.total()
    reasons += Counter({"repeated or beyond max_per_sample": num_more})
    left = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    if not kept:
        raise ValueError(f"none of {len(found)} traces is kept ({left}): relax the rule, or explore for longer")
    write_traces(out, kept)
    sys.stdout.write(f"{len(kept)} of {len(found)} traces kept in {out}; left: {left or 'none'}\n")
