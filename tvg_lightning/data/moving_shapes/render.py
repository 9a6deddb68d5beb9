"""Write moving-shapes videos as H.264 mp4 files, with their annotations as plain JSONL.

Byte-reproducible for one version of PyAV: one encoder thread, no metadata, everything else from the seed.
"""

import json
import os
import random
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tvg_lightning.data.moving_shapes.drawing import CANVAS_PX, draw_frame
from tvg_lightning.data.moving_shapes.kinds import AskedScene, draw_scene_for
from tvg_lightning.data.moving_shapes.queries import KINDS, Kind, captions_of, query_wordings
from tvg_lightning.data.moving_shapes.shares import PLAIN, KindShares
from tvg_lightning.data.moving_shapes.world import Pairs, Scene
from tvg_lightning.files import atomic_write, read_json, read_jsonl

# x264's own lookahead and macroblock tree decide by the timing of its threads: with them, one scene gives two
# files
_X264 = {
    "preset": "veryfast",
    "crf": "20",
    "x264-params": "threads=1:lookahead-threads=1:sync-lookahead=0:rc-lookahead=0:mbtree=0:no-psy=1",
}
VERSION = 5  # raise when the world changes: rendered folders of another version are drawn anew
_STAMP, _BEGUN = "rendered.json", "rendering.json"  # of a finished folder, and of one that is being written
SPLITS: dict[str, Pairs] = {"train": "seen", "held_out": "seen", "compositional": "unseen"}


@dataclass(frozen=True, slots=True)
class RenderSettings:
    """The number of videos in each split, the seed of them all, the kinds that are asked, and whether a clock runs."""

    train: int = 320
    held_out: int = 64
    compositional: int = 48
    seed: int = 0
    kinds: KindShares = PLAIN
    clock: bool = True

    def __post_init__(self) -> None:
        for name in SPLITS:
            if self.num_videos(name) < 1:
                raise ValueError(f"render: --{name} must be at least 1, not {self.num_videos(name)}")
        if self.seed < 0:
            raise ValueError(f"render: --seed must be at least 0, not {self.seed}")

    def num_videos(self, split: str) -> int:
        return {"train": self.train, "held_out": self.held_out, "compositional": self.compositional}[split]


def is_rendered(folder: Path, settings: RenderSettings) -> bool:
    """True when the folder holds a finished rendering with exactly these settings."""
    stamp = folder / _STAMP
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == _stamp(settings)


def render(folder: Path, settings: RenderSettings, num_workers: int) -> Iterator[tuple[int, int]]:
    """Write ``videos/*.mp4`` and one ``<split>.jsonl`` a split; yields (videos done, videos in all).

    The stamp that marks the folder as finished is written last, so an interrupted rendering is simply done
    again. ValueError where files would be overwritten that no rendering wrote.
    """
    _check_free(folder, settings)
    _write(folder / _BEGUN, _stamp(settings))
    (folder / _STAMP).unlink(missing_ok=True)  # of other settings, whose videos are overwritten now
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    for part in (folder / "videos").glob(".*.mp4.*.part"):  # of one that was killed
        part.unlink()
    jobs = [(folder, split, index, settings) for split in SPLITS for index in range(settings.num_videos(split))]
    lines: dict[str, list[str]] = {split: [] for split in SPLITS}
    with ProcessPoolExecutor(max_workers=num_workers) as pool:
        results = pool.map(_render_one, jobs, chunksize=4)
        for done, (job, annotations) in enumerate(zip(jobs, results, strict=True), 1):
            lines[job[1]] += annotations
            yield done, len(jobs)
    for split, annotations in lines.items():
        _write(folder / f"{split}.jsonl", "".join(f"{line}\n" for line in annotations))
    _write(folder / _STAMP, _stamp(settings))
    (folder / _BEGUN).unlink()


def write_video(path: Path, scene: Scene) -> None:
    """Encode one scene at its own frame rate; every frame k is drawn at its presentation time k / fps."""
    rate = Fraction(scene.fps).limit_denominator(1001)
    with atomic_write(path) as part, av.open(str(part), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options=_X264)
        stream.width = stream.height = CANVAS_PX
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for k in range(round(scene.duration_s * rate)):
            frame = av.VideoFrame.from_ndarray(draw_frame(scene, float(k / rate)), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def annotate(drawn: AskedScene, video: str, rng: random.Random) -> list[str]:
    """One JSON line a query, in the project's own annotation format."""
    return [
        json.dumps(
            {
                "id": f"{Path(video).stem}_{number}",
                "video": video,
                "duration": drawn.scene.duration_s,
                "query": rng.choice(query_wordings(asked.query)),
                "windows": [list(window) for window in asked.windows],
                "kind": asked.query.kind,
                "captions": captions_of(drawn.scene),
            }
        )
        for number, asked in enumerate(drawn.asked)
    ]


def scene_seed(split: str, index: int, seed: int) -> int:
    """Seeds of different splits never meet."""
    return int(np.random.SeedSequence([seed, list(SPLITS).index(split), index]).generate_state(1, np.uint64)[0])


def kind_of(split: str, index: int, settings: RenderSettings) -> Kind:
    """The kind of one video, drawn by the shares."""
    return settings.kinds.draw(random.Random(f"kind {scene_seed(split, index, settings.seed)}"))


def _render_one(job: tuple[Path, str, int, RenderSettings]) -> list[str]:
    folder, split, index, settings = job
    seed = scene_seed(split, index, settings.seed)
    drawn = draw_scene_for(kind_of(split, index, settings), seed, SPLITS[split])
    video = f"{split}_{index:05d}.mp4"
    write_video(folder / "videos" / video, replace(drawn.scene, clock=settings.clock))
    return annotate(drawn, video, random.Random(drawn.scene.seed))


def _stamp(settings: RenderSettings) -> str:
    return json.dumps({"version": VERSION, "pyav": av.__version__, **asdict(settings)})


def _check_free(folder: Path, settings: RenderSettings) -> None:
    """ValueError naming a file that a rendering into this folder would write over, and that none has written.

    Annotations are told by what is in them. Videos are taken for our own where a stamp or such annotations lie beside.
    """
    annotations = [file for split in SPLITS if os.path.lexists(file := folder / f"{split}.jsonl")]
    foreign = [file for file in annotations if not _is_ours(file)]
    stamps = [file for name in (_STAMP, _BEGUN) if os.path.lexists(file := folder / name)]
    foreign += [file for file in stamps if not _is_stamp(file)]
    if not stamps and len(annotations) < len(SPLITS):
        names = {split: f"{split}_{{:05d}}.mp4" for split in SPLITS}
        videos = [folder / "videos" / names[s].format(k) for s in SPLITS for k in range(settings.num_videos(s))]
        foreign += [file for file in videos if os.path.lexists(file)]
    if foreign:
        raise ValueError(
            f"render: {foreign[0]} exists already and is of no rendering: move it away or choose another folder (--out)"
        )


def _is_ours(annotations: Path) -> bool:
    """True where every line is one that ``annotate`` gives for a video of this split."""
    try:
        lines = [given for _, given in read_jsonl(annotations)]
    except (ValueError, OSError):
        return False
    return bool(lines) and all(
        given.keys() - {"kind", "captions"} == {"id", "video", "duration", "query", "windows"}
        and given.get("kind", "plain") in KINDS  # earlier renderings do not say it
        and re.fullmatch(rf"{annotations.stem}_\d{{5,}}\.mp4", str(given["video"])) is not None
        and re.fullmatch(rf"{Path(given['video']).stem}_\d+", str(given["id"])) is not None
        for given in lines
    )


def _is_stamp(file: Path) -> bool:
    try:
        given = read_json(file)
    except (ValueError, OSError):
        return False
    return isinstance(given, dict) and {"version", "pyav", "seed", *SPLITS} <= given.keys()


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")
