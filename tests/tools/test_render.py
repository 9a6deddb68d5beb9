from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.__main__ import main as command_line
from tvg_lightning.data.moving_shapes.render import RenderSettings, is_rendered
from tvg_lightning.data.moving_shapes.shares import ONE_WINDOW, KindShares, read_shares
from tvg_lightning.tools.render import main

NUMBERS = {"train": 1, "held_out": 1, "compositional": 1, "seed": 458}  # short videos
ASKED = RenderSettings(**NUMBERS, kinds=read_shares(ONE_WINDOW))  # what main asks where nothing is said


def test_a_folder_is_rendered_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(tmp_path, **NUMBERS, num_workers=1)
    assert is_rendered(tmp_path, ASKED)
    assert "videos and their annotations are in" in capsys.readouterr().out
    videos = sorted((tmp_path / "videos").iterdir())
    times = [video.stat().st_mtime_ns for video in videos]
    main(tmp_path, **NUMBERS, num_workers=1)
    assert capsys.readouterr().out == f"{tmp_path} is rendered already\n"
    assert len(videos) == 3 and [video.stat().st_mtime_ns for video in videos] == times


def test_a_number_of_videos_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--held_out must be at least 1, not 0"):
        main(tmp_path / "out", held_out=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": -1}, "--seed must be at least 0, not -1"),
        ({"num_workers": 0}, "--num_workers must be at least 1, not 0"),
        ({"kinds": "plane"}, "--kinds must be one of plain, ordinal, .* or their shares such as .*, not 'plane'"),
        ({"kinds": '{"plain": 1, "evry": 1}'}, "--kinds: 'evry' is no kind; there are plain, ordinal, .*"),
    ],
)
def test_other_values_are_refused_by_name(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^render: {said}"):
        main(tmp_path / "out", **{**NUMBERS, **changes})
    assert not (tmp_path / "out").exists()


def test_kinds_and_clock_of_the_command_line(tmp_path: Path) -> None:
    numbers = [f"--{name}={value}" for name, value in NUMBERS.items()]
    kinds = '{"absent": 1, "plain": 0}'
    command_line(["render", f"--out={tmp_path}", *numbers, "--num_workers=1", "--kinds", kinds, "--clock", "false"])
    assert is_rendered(tmp_path, RenderSettings(**NUMBERS, kinds=KindShares(absent=1), clock=False))


@pytest.mark.parametrize("name", ["train.jsonl", "compositional.jsonl", "rendered.json", "videos/train_00000.mp4"])
def test_what_others_wrote_is_not_written_over(name: str, tmp_path: Path) -> None:
    theirs = tmp_path / name
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text('{"video": "kitchen.mp4", "query": "q", "windows": [[0, 1]], "duration": 3, "id": "k"}\n')
    before = theirs.read_bytes()
    with pytest.raises(ValueError, match=f"^render: {theirs} exists already and is of no rendering: move it away"):
        main(tmp_path, **NUMBERS, num_workers=1)
    assert theirs.read_bytes() == before and [file for file in tmp_path.rglob("*") if file.is_file()] == [theirs]


def test_other_files_beside_a_rendering_stay(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("mine")
    main(tmp_path, **NUMBERS, num_workers=1)
    main(tmp_path, **{**NUMBERS, "held_out": 2}, num_workers=1)  # other settings: done anew
    assert (tmp_path / "mine.jsonl").read_text() == "mine" and len(list((tmp_path / "videos").iterdir())) == 4
    (tmp_path / "train.jsonl").write_text('{"video": "kitchen.mp4"}\n')  # put there since
    with pytest.raises(ValueError, match=r"train\.jsonl exists already and is of no rendering"):
        main(tmp_path, **NUMBERS, num_workers=1)
    assert is_rendered(tmp_path, replace(ASKED, held_out=2))


def test_without_its_stamp_a_rendering_is_known_by_its_annotations(tmp_path: Path) -> None:
    main(tmp_path, **NUMBERS, num_workers=1)
    (tmp_path / "rendered.json").unlink()
    main(tmp_path, **NUMBERS, num_workers=1)
    assert is_rendered(tmp_path, ASKED)
