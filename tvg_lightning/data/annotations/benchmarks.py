"""The published data sets by name: which reader a name means, and which of them need a second file.

Some data sets keep half of what a reader must know in a second file (Charades' lengths, NExT-GQA's questions). It may
be given; otherwise it is looked for beside the annotations under its published name. Others (MUSEG, RA-RFT, OMTG)
leave out lengths of videos: a file that has them may be given.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, get_args

from tvg_lightning.data.annotations import (
    activitynet_captions,
    charades_sta,
    didemo,
    jsonl,
    museg,
    nextgqa,
    omtg,
    qvhighlights,
    ra_rft,
    rextime,
    tacos,
    taro,
    time_r1,
    timelens2_93k,
    timelens_100k,
    timelens_bench,
    tvg_r1,
    tvgbench,
    xtuner,
)
from tvg_lightning.data.annotations.records import Record, clean
from tvg_lightning.data.annotations.report import ReadResult

BenchmarkName = Literal[
    "jsonl",
    "charades_sta",
    "activitynet_captions",
    "qvhighlights",
    "nextgqa",
    "rextime",
    "tvgbench",
    "tacos",
    "didemo",
    "time_r1",
    "tvg_r1",
    "timelens_bench",
    "timelens_100k",
    "timelens2_93k",
    "xtuner",
    "taro",
    "museg",
    "ra_rft",
    "omtg",
]
BENCHMARKS: tuple[BenchmarkName, ...] = get_args(BenchmarkName)

_READERS: Mapping[BenchmarkName, Callable[[Path], Iterator[Record]]] = {
    "jsonl": jsonl.records,
    "activitynet_captions": activitynet_captions.records,
    "qvhighlights": qvhighlights.records,
    "rextime": rextime.records,
    "tvgbench": tvgbench.records,
    "tacos": tacos.records,
    "didemo": didemo.records,
    "time_r1": time_r1.records,
    "tvg_r1": tvg_r1.records,
    "timelens_bench": timelens_bench.records,
    "timelens_100k": timelens_100k.records,
    "timelens2_93k": timelens2_93k.records,
    "xtuner": xtuner.records,
    "taro": taro.records,
}
_READERS_OF_TWO: Mapping[BenchmarkName, Callable[[Path, Path | None], Iterator[Record]]] = {
    "charades_sta": charades_sta.records,
    "nextgqa": nextgqa.records,
    "museg": museg.records,
    "ra_rft": ra_rft.records,
    "omtg": omtg.records,
}


def read(
    benchmark: BenchmarkName, annotations: Path, companion: Path | None = None, videos_outside: bool = False
) -> ReadResult:
    """The samples of a data set that can be used, and the report on every repair, clip and refusal."""
    return clean(annotations, records(benchmark, annotations, companion), videos_outside)


def records(benchmark: BenchmarkName, annotations: Path, companion: Path | None = None) -> Iterator[Record]:
    """Every annotated query of a data set as published; ValueError naming the file for one of another form."""
    if benchmark in _READERS_OF_TWO:
        return _READERS_OF_TWO[benchmark](annotations, companion)
    if companion is not None:
        raise ValueError(f"{benchmark} needs no second file; leave companion out")
    return _READERS[benchmark](annotations)
