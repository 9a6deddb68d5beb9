"""Film strips of moving shapes: ``python -m docs.pictures.strips DATA_DIR OUT.png``.

One held-out video of each kind of question: frames spread over it, the sentence, and its true windows below.
"""

import argparse
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from docs.pictures.drawing.style import GREEN, styled
from tvg_lightning.data.annotations import jsonl
from tvg_lightning.pages.films import read_strip
from tvg_lightning.schema import Sample

KINDS = ("plain", "look_alike", "ordinal", "relation")


def strips(samples: list[Sample], videos: Path) -> Figure:
    figure = Figure(figsize=(8.6, 1.42 * len(samples)), layout="constrained", dpi=130)
    for row, sample in enumerate(samples):
        axes = figure.add_subplot(len(samples), 1, row + 1)
        strip = read_strip(videos / sample.video)
        count = len(strip.frames)
        for number, frame in enumerate(strip.frames):
            left = sample.duration_s * number / count
            axes.imshow(frame, extent=(left, left + 0.97 * sample.duration_s / count, 0.0, 1.0), aspect="auto")
        for window in sample.windows or ():
            axes.axvspan(window.start_s, window.end_s, ymax=0.16, color=GREEN)
        axes.set(xlim=(0, sample.duration_s), ylim=(-0.25, 1.0), yticks=[])
        axes.set_title(f"{sample.kind}: “{sample.query}”", loc="left", fontsize=10)
        axes.spines[:].set_visible(False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="what `render` wrote")
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    of_kind: dict[str, Sample] = {}
    for sample in jsonl.read(given.data / "held_out.jsonl").samples:
        of_kind.setdefault(sample.kind or "", sample)
    with styled():
        strips([of_kind[kind] for kind in KINDS], given.data / "videos").savefig(given.out, facecolor="white")
    Image.open(given.out).convert("RGB").quantize(256, kmeans=3).save(given.out, optimize=True)


if __name__ == "__main__":
    main()
