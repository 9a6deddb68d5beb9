"""Rendered files: the same bytes twice, interrupted ones done again, and frames when they should be."""

import hashlib
import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tvg_lightning.data.annotations import jsonl
from tvg_lightning.data.moving_shapes.drawing import CLOCK_PX, draw_frame
from tvg_lightning.data.moving_shapes.kinds import draw_scene_for
from tvg_lightning.data.moving_shapes.queries import KINDS
from tvg_lightning.data.moving_shapes.render import (
    SPLITS,
    RenderSettings,
    annotate,
    is_rendered,
    kind_of,
    render,
    scene_seed,
)
from tvg_lightning.data.moving_shapes.shares import KindShares
from tvg_lightning.data.moving_shapes.world import Scene, draw_scene
from tvg_lightning.data.video import FrameSettings, read_clip

SETTINGS = RenderSettings(train=1, held_out=1, compositional=1, seed=458)  # 272 frames in all, none has fewer
KIND = ', "kind": "plain"'
ADDED = re.compile(r', "kind": "plain", "captions": \[.*\]}')  # to what a line of the first version was


def render_all(folder: Path, settings: RenderSettings = SETTINGS) -> list[tuple[int, int]]:
    return list(render(folder, settings, num_workers=2))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def scene_of(split: str) -> Scene:
    return draw_scene(scene_seed(split, 0, SETTINGS.seed), SPLITS[split])


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered")
    assert not is_rendered(folder, SETTINGS)
    assert render_all(folder) == [(1, 3), (2, 3), (3, 3)]
    return folder


def test_what_is_written(rendered: Path) -> None:
    videos = {f"videos/{split}_00000.mp4" for split in SPLITS}
    assert set(contents(rendered)) == videos | {f"{split}.jsonl" for split in SPLITS} | {"rendered.json"}
    assert is_rendered(rendered, SETTINGS)
    assert not is_rendered(rendered, replace(SETTINGS, seed=459))
    assert not is_rendered(rendered, replace(SETTINGS, train=2))
    assert not is_rendered(rendered, replace(SETTINGS, clock=False))
    assert not is_rendered(rendered, replace(SETTINGS, kinds=KindShares(plain=1.0, every=1.0)))


def test_the_same_settings_give_the_same_bytes(rendered: Path, tmp_path: Path) -> None:
    render_all(tmp_path)
    assert contents(tmp_path) == contents(rendered)


def test_an_interrupted_rendering_is_done_again(rendered: Path, tmp_path: Path) -> None:
    running = render(tmp_path, SETTINGS, num_workers=2)
    next(running)
    running.close()
    assert not is_rendered(tmp_path, SETTINGS)
    (tmp_path / "videos" / "train_00000.mp4").write_bytes(b"torn")
    (tmp_path / "videos" / ".train_00000.mp4.7.part").write_bytes(b"killed")
    render_all(tmp_path)
    assert contents(tmp_path) == contents(rendered)


def test_other_settings_take_the_stamp_away_first(tmp_path: Path) -> None:
    """Interrupted, the folder holds videos of two settings: it is finished for neither."""
    stamp = {"version": 1, "pyav": "8.0", "train": 9, "held_out": 9, "compositional": 9, "seed": 7}
    (tmp_path / "rendered.json").write_text(json.dumps(stamp), encoding="utf-8")
    running = render(tmp_path, SETTINGS, num_workers=1)
    next(running)
    assert not (tmp_path / "rendered.json").exists()
    running.close()


@pytest.mark.parametrize("split", SPLITS)
def test_annotations_are_read_and_are_those_of_the_scene(rendered: Path, split: str) -> None:
    result = jsonl.read(rendered / f"{split}.jsonl")
    scene = scene_of(split)
    assert (result.report.num_fixed, result.report.num_clipped, result.report.num_refused) == (0, 0, 0)
    assert [sample.windows for sample in result.samples] == [(event.window,) for event in scene.events]
    assert {sample.duration_s for sample in result.samples} == {scene.duration_s}
    assert {sample.video for sample in result.samples} == {f"{split}_00000.mp4"}
    assert {sample.kind for sample in result.samples} == {"plain"}
    keys = json.loads((rendered / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert set(keys) <= jsonl.KEYS


@pytest.mark.parametrize("split", SPLITS)
def test_every_frame_is_there_at_its_time(rendered: Path, split: str) -> None:
    scene = scene_of(split)
    num_frames = round(scene.duration_s * scene.fps)
    every = FrameSettings(fps=scene.fps, max_frames=1024, max_tokens=16)
    clip = read_clip(rendered / "videos" / f"{split}_00000.mp4", every, side=28)
    assert num_frames % 2 == 0 and clip.frames.shape == (num_frames, 112, 112, 3)
    assert clip.times_s == pytest.approx([k / scene.fps for k in range(num_frames)], abs=1e-3)


def test_frames_show_the_scene_at_their_times(rendered: Path) -> None:
    scene = scene_of("train")
    clip = read_clip(rendered / "videos" / "train_00000.mp4", FrameSettings(fps=2.0, max_tokens=16), side=28)
    # 12.5 s at 2 frames a second: 24 frames, an even number, to the nearest of 8 a second
    assert clip.times_s == pytest.approx([k * 12.5 / 24 for k in range(24)], abs=1 / 16)
    for frame, time_s in zip(clip.frames, clip.times_s, strict=True):
        as_drawn = torch.from_numpy(draw_frame(scene, time_s))
        assert (frame.float() - as_drawn.float()).abs().mean() < 4.0  # what compression takes


def test_seeds_of_videos_never_meet() -> None:
    seeds = [scene_seed(split, index, seed) for split in SPLITS for index in range(100) for seed in range(3)]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_needs_a_video(split: str) -> None:
    with pytest.raises(ValueError, match=f"--{split} must be at least 1, not 0"):
        RenderSettings(**{split: 0})


def test_plain_annotations_stay_as_they_are() -> None:
    """But for the kind, which they now say: runs of before can be held against runs of today."""
    lines = []
    for split, pairs in SPLITS.items():
        for index in range(20):
            drawn = draw_scene_for("plain", scene_seed(split, index, 0), pairs)
            lines += annotate(drawn, f"{split}_{index:05d}.mp4", random.Random(drawn.scene.seed))
    without = "".join(f"{ADDED.sub('}', line)}\n" for line in lines)
    assert all(ADDED.search(line) for line in lines)
    assert hashlib.sha256(without.encode()).hexdigest().startswith("f7e62285ce305630")


MIXED = RenderSettings(
    train=1, held_out=1, compositional=1, seed=2597, kinds=KindShares(relation=1, every=1, absent=1), clock=False
)


def test_a_mixed_rendering_asks_what_was_drawn_and_shows_no_clock(tmp_path: Path) -> None:
    render_all(tmp_path, MIXED)
    found = set()
    for split, pairs in SPLITS.items():
        samples = jsonl.read(tmp_path / f"{split}.jsonl").samples
        for index in range(MIXED.num_videos(split)):
            kind = kind_of(split, index, MIXED)
            drawn = draw_scene_for(kind, scene_seed(split, index, MIXED.seed), pairs)
            mine = [sample for sample in samples if sample.video == f"{split}_{index:05d}.mp4"]
            assert [sample.windows for sample in mine] == [asked.windows for asked in drawn.asked]
            assert {sample.kind for sample in mine} == {kind}
            found.add(kind)
    assert found == {"relation", "every", "absent"}
    first = draw_scene_for(kind_of("train", 0, MIXED), scene_seed("train", 0, MIXED.seed), SPLITS["train"]).scene
    clip = read_clip(tmp_path / "videos" / "train_00000.mp4", FrameSettings(fps=2.0, max_tokens=16), side=28)
    for frame, time_s in zip(clip.frames, clip.times_s, strict=True):
        as_drawn = torch.from_numpy(draw_frame(replace(first, clock=False), time_s))
        assert (frame.float() - as_drawn.float())[:CLOCK_PX].abs().mean() < 6.0  # a bar is 100 levels away
    again = tmp_path / "again"
    render_all(again, MIXED)
    stay = {name: content for name, content in contents(tmp_path).items() if not name.startswith("again/")}
    assert contents(again) == stay


def test_kinds_are_drawn_by_their_shares() -> None:
    settings = replace(SETTINGS, kinds=KindShares(plain=2, long=1, look_alike=1))
    drawn = [kind_of("train", index, settings) for index in range(600)]
    assert drawn == [kind_of("train", index, settings) for index in range(600)]
    shares = {kind: drawn.count(kind) / 600 for kind in KINDS if kind in drawn}
    assert shares == pytest.approx({"plain": 0.5, "long": 0.25, "look_alike": 0.25}, abs=0.06)
    assert {kind_of("train", index, SETTINGS) for index in range(20)} == {"plain"}


def test_a_rendering_of_before_is_known_as_one(rendered: Path, tmp_path: Path) -> None:
    """It says no kind, and is drawn anew."""
    (tmp_path / "videos").mkdir()
    for split in SPLITS:
        (tmp_path / "videos" / f"{split}_00000.mp4").write_bytes(b"old")
        lines = (rendered / f"{split}.jsonl").read_text(encoding="utf-8")
        (tmp_path / f"{split}.jsonl").write_text(ADDED.sub("}", lines), encoding="utf-8")
    render_all(tmp_path)
    assert contents(tmp_path) == contents(rendered)
    other = (tmp_path / "train.jsonl").read_text(encoding="utf-8").replace(KIND, ', "kind": "theirs"')
    (tmp_path / "train.jsonl").write_text(other, encoding="utf-8")
    with pytest.raises(ValueError, match=r"train\.jsonl exists already and is of no rendering"):
        render_all(tmp_path)
