"""The published data sets by name: which reader a name means, and which second file it needs.

Some data sets keep half of what a reader must know in a second file (Charades' lengths, NExT-GQA's
questions). It may be given; otherwise it is looked for beside the annotations under its published name.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from tvg_lightning.data.annotations import charades_sta, jsonl
from tvg_lightning.data.annotations.records import Record, clean
from tvg_lightning.data.annotations.report import ReadResult

BenchmarkName = Literal["jsonl", "charades_sta"]
BENCHMARKS: tuple[BenchmarkName, ...] = get_args(BenchmarkName)


def read(benchmark: BenchmarkName, annotations: Path, companion: Path | None = None) -> ReadResult:
    """The samples of a data set that can be used, and the report on every repair, clip and refusal."""
    return clean(annotations, records(benchmark, annotations, companion))


def records(benchmark: BenchmarkName, annotations: Path, companion: Path | None = None) -> Iterator[Record]:
    """Every annotated query of a data set as published; ValueError naming the file for one of another form."""
    if benchmark == "charades_sta":
        return charades_sta.records(annotations, companion or _charades_lengths(annotations))
    assert benchmark == "jsonl", benchmark
    return jsonl.records(annotations)


def _charades_lengths(annotations: Path) -> Path:
    """``Charades_v1_test.csv`` for ``charades_sta_test.txt``."""
    split = annotations.stem.removeprefix("charades_sta_")
    return _beside(annotations, f"Charades_v1_{split}.csv")


def _beside(annotations: Path, name: str) -> Path:
    path = annotations.with_name(name)
    if not path.is_file():
        raise ValueError(f"{annotations}: needs {name} beside it; put it there, or say where it is with companion")
    return path
