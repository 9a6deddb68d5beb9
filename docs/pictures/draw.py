"""Draws the pictures anew, into docs/pictures/NAME.svg: ``python -m docs.pictures.draw [NAME ...]``."""

import sys
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from docs.pictures.drawing import layouts, numbers, texts
from docs.pictures.drawing.style import styled, svg_of

FOLDER = Path(__file__).parent
PICTURES: dict[str, Callable[[], Figure]] = {
    "video-frames": layouts.video_frames,
    "api-filter": numbers.filters,
    "api-losses": numbers.losses,
    "api-metrics": numbers.metrics,
    "api-rewards": numbers.rewards,
    "api-tasks": layouts.tasks,
    "api-text": texts.parsing,
    "backbones": layouts.backbones,
    "floors": layouts.floors,
    "grpo-step": layouts.grpo_step,
    "notebook": numbers.notebook,
    "packed-row": layouts.packed_row,
    "performance": numbers.performance,
    "plan": numbers.plan,
    "presets": texts.published,
    "recipes": layouts.recipes,
    "rollouts": layouts.rollouts,
    "teacher": layouts.teacher,
}


def main(names: list[str]) -> None:
    unknown = sorted(set(names) - set(PICTURES))
    if unknown:
        sys.exit(f"error: no such picture: {', '.join(unknown)}; there are {', '.join(PICTURES)}")
    for name in names or PICTURES:
        with styled():
            (FOLDER / f"{name}.svg").write_text(svg_of(PICTURES[name]()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
