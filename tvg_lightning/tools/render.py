"""``python -m tvg_lightning render``: the embedded benchmark's videos and annotations."""

import os
import sys
from pathlib import Path

from tvg_lightning.data.moving_shapes.render import SPLITS, RenderSettings, is_rendered, render
from tvg_lightning.data.moving_shapes.shares import ONE_WINDOW, read_shares
from tvg_lightning.progress import tracked


def main(
    out: Path,
    train: int = 320,
    held_out: int = 64,
    compositional: int = 48,
    seed: int = 0,
    num_workers: int | None = None,
    kinds: str = ONE_WINDOW,
    clock: bool = True,
) -> None:
    """Render moving-shapes videos (H.264 mp4) and their annotations; done once, where they are not there yet.

    Args:
        out: folder to write to; gets videos/ and one .jsonl a split. Files of these names that are not of an earlier
            rendering, also one that was interrupted, are refused.
        train: training videos.
        held_out: videos with other seeds, and the (subject, verb) pairs of training.
        compositional: videos whose (subject, verb) pairs never occur in training.
        seed: seed of everything; the same one gives the same bytes.
        num_workers: processes that draw (default: one a core).
        kinds: kind of the questions: plain, ordinal, relation, look_alike, every, absent or long; or their shares as
            JSON, such as '{"plain": 1, "relation": 1}', by which the kind of each video is drawn. The
            default asks for one window.
        clock: burn two bars that tell the time into the pictures.
    """
    settings = RenderSettings(train, held_out, compositional, seed, read_shares(kinds), clock)
    if num_workers is not None and num_workers < 1:
        raise ValueError(f"render: --num_workers must be at least 1, not {num_workers}")
    if is_rendered(out, settings):
        sys.stdout.write(f"{out} is rendered already\n")
        return
    total = sum(settings.num_videos(split) for split in SPLITS)
    for _ in tracked(render(out, settings, num_workers or os.cpu_count() or 1), "rendering", "video", total):
        pass
    sys.stdout.write(f"{total} videos and their annotations are in {out}\n")
