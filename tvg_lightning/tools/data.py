"""``python -m tvg_lightning data inspect | convert``: what is in a file of annotations, and as our own JSONL."""

import sys
from pathlib import Path

from tvg_lightning.data.annotations import benchmarks, jsonl
from tvg_lightning.data.annotations.benchmarks import BenchmarkName
from tvg_lightning.data.annotations.describe import describe
from tvg_lightning.data.annotations.picture import draw
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.files import atomic_write, plain_text, refuse_existing

_LENGTHS = "; name a csv with the columns id and length with --companion, where the videos have none"
_HINTS = {
    "charades_sta": "; put Charades_v1_<split>.csv beside it, or name it with --companion",
    **dict.fromkeys(("museg", "ra_rft", "omtg"), _LENGTHS),
}


def inspect(
    benchmark: BenchmarkName,
    annotations: Path,
    companion: Path | None = None,
    out: Path | None = None,
    examples: int = 3,
    videos_outside: bool = False,
) -> None:
    """Say what was read, fixed, clipped and refused, and draw how long videos and windows are.

    Args:
        benchmark: whose form the file has; jsonl is this project's own.
        annotations: file to read.
        companion: second file of charades_sta (lengths) or nextgqa (questions), if not beside it; of museg, ra_rft and
            omtg a csv with the columns id and length; see docs/data.md.
        out: picture to write (default: inspect_<name of the file>.png in this folder, drawn anew each time).
        examples: how many places to name for each reason.
        videos_outside: accept videos outside of the folder of videos (absolute, or with ..); see docs/data.md.
    """
    if examples < 0:
        raise ValueError(f"examples: expected 0 or more, got {examples}")
    if out is not None:
        refuse_existing(out)
    records = list(benchmarks.records(benchmark, annotations, companion))
    result = clean(annotations, records, videos_outside)
    picture = out or Path(f"inspect_{annotations.stem}.png")
    title = f"{benchmark} · {annotations.name} · {result.report.num_read} of {len(records)} queries"
    with atomic_write(picture) as part:
        draw(result.samples, plain_text(title)).savefig(part, format="png")
    sys.stdout.write(f"{describe(records, result, examples)}\npicture: {picture}\n")


def convert(
    benchmark: BenchmarkName,
    annotations: Path,
    out: Path,
    companion: Path | None = None,
    videos_outside: bool = False,
) -> None:
    """Write the samples that can be used as our own JSONL, to train and evaluate on.

    Args:
        benchmark: whose form the file has.
        annotations: file to read.
        out: file to write; give it to data.train or data.val.
        companion: second file of charades_sta (lengths) or nextgqa (questions), if not beside it; of museg, ra_rft and
            omtg a csv with the columns id and length; see docs/data.md.
        videos_outside: accept videos outside of the folder of videos (absolute, or with ..); see docs/data.md.
    """
    refuse_existing(out)
    records = list(benchmarks.records(benchmark, annotations, companion))
    result = clean(annotations, records, videos_outside)
    if not result.samples:
        hint = _HINTS.get(benchmark, "")
        raise ValueError(f"nothing can be written: {result.report.summary()}{hint}")
    jsonl.write(out, result.samples)
    sys.stdout.write(f"{describe(records, result)}\nwritten: {out}\n")
