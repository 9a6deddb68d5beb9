"""``python -m tvg_lightning data inspect | convert | videos``: a file of annotations, as our JSONL, and its videos."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from tvg_lightning.data.annotations import benchmarks, jsonl
from tvg_lightning.data.annotations.benchmarks import BenchmarkName
from tvg_lightning.data.annotations.describe import describe
from tvg_lightning.data.annotations.picture import draw
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.data.video_files import VideoSearch, search
from tvg_lightning.files import atomic_write, plain_text, refuse_existing
from tvg_lightning.progress import tracked

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
        benchmark: the form of the file; jsonl is this project's own.
        annotations: file to read.
        companion: second file of charades_sta (lengths) or nextgqa (questions), if not beside it; of museg, ra_rft and
            omtg a csv with the columns id and length; see docs/data.md (default: the one beside the first).
        out: picture to write (default: inspect_<name of the file>.png in this folder, drawn anew each time).
        examples: places that are named for each reason, at most.
        videos_outside: accept videos outside of the folder of videos (absolute, or with ..); see docs/data.md.
    """
    if examples < 0:
        raise ValueError(f"examples: expected 0 or more, got {examples}")
    if out is not None:
        refuse_existing(out)
    records = list(tracked(benchmarks.records(benchmark, annotations, companion), "reading annotations", "query"))
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
        benchmark: the form of the file; jsonl is this project's own.
        annotations: file to read.
        out: file to write; give it to data.train or data.val.
        companion: second file of charades_sta (lengths) or nextgqa (questions), if not beside it; of museg, ra_rft and
            omtg a csv with the columns id and length; see docs/data.md (default: the one beside the first).
        videos_outside: accept videos outside of the folder of videos (absolute, or with ..); see docs/data.md.
    """
    refuse_existing(out)
    records = list(tracked(benchmarks.records(benchmark, annotations, companion), "reading annotations", "query"))
    result = clean(annotations, records, videos_outside)
    if not result.samples:
        hint = _HINTS.get(benchmark, "")
        raise ValueError(f"nothing can be written: {result.report.summary()}{hint}")
    jsonl.write(out, result.samples)
    sys.stdout.write(f"{describe(records, result)}\nwritten: {out}\n")


def videos(
    annotations: Path,
    videos: Path,
    benchmark: BenchmarkName = "jsonl",
    companion: Path | None = None,
    map: Path | None = None,
    videos_outside: bool = False,
) -> None:
    """Say which videos are missing, and find those that lie in another folder or have another suffix.

    All names are looked for. Ends with status 1 where a file is missing, or several could be meant.

    Args:
        annotations: file whose videos are looked for.
        videos: folder of the videos.
        benchmark: the form of the annotations; jsonl is this project's own.
        companion: second file, as for inspect (default: the one beside the first).
        map: file to write, with the paths of the videos found elsewhere by their names; give it to
            data.video_map (default: none is written).
        videos_outside: accept videos outside of the folder of videos (absolute, or with ..); see docs/data.md.
    """
    if map is not None:
        refuse_existing(map)
    if not videos.is_dir():
        raise ValueError(f"{videos}: there is no such folder of videos")
    records = list(tracked(benchmarks.records(benchmark, annotations, companion), "reading annotations", "query"))
    clean(annotations, records, videos_outside)  # refuses names that lead out of the folder
    num_queries = Counter(record.video for record in records)
    found = search(num_queries, videos)
    sys.stdout.writelines(f"{line}\n" for line in _found(found, num_queries))
    if map is not None:
        moved = {name: str(file) for name, file in found.moved.items()}
        with atomic_write(map) as part:
            part.write_text(json.dumps(moved, indent=1) + "\n", encoding="utf-8")
        sys.stdout.write(f"written: {map}, for data.video_map\n")
    elif found.moved:
        sys.stdout.write("a run finds the videos that lie elsewhere by --map out.json and data.video_map out.json\n")
    if found.missing or found.ambiguous:
        sys.exit(1)


def _found(found: VideoSearch, num_queries: Mapping[str, int]) -> Iterator[str]:
    yield f"{len(num_queries)} videos of {sum(num_queries.values())} queries"
    yield f"in their place: {len(found.present)}"
    yield f"found elsewhere: {len(found.moved)}"
    yield from (f"  {name} -> {plain_text(str(file))}" for name, file in found.moved.items())
    yield f"ambiguous, none is taken: {len(found.ambiguous)}"
    yield from (
        f"  {name}: {', '.join(plain_text(str(file)) for file in files)}" for name, files in found.ambiguous.items()
    )
    num_lost = sum(num_queries[name] for name in found.missing)
    yield f"missing: {len(found.missing)}" + (f", asked about by {num_lost} queries" if num_lost else "")
    yield from (f"  {name}" for name in found.missing)
