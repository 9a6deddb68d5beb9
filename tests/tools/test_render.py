from pathlib import Path

import pytest

from tvg_lightning.data.moving_shapes.render import RenderSettings, is_rendered
from tvg_lightning.tools.render import main

NUMBERS = {"train": 1, "held_out": 1, "compositional": 1, "seed": 458}  # short videos


def test_a_folder_is_rendered_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(tmp_path, **NUMBERS, num_workers=1)
    assert is_rendered(tmp_path, RenderSettings(**NUMBERS))
    assert "rendering videos: 100%" in capsys.readouterr().err
    videos = sorted((tmp_path / "videos").iterdir())
    times = [video.stat().st_mtime_ns for video in videos]
    main(tmp_path, **NUMBERS, num_workers=1)
    assert capsys.readouterr().out == f"{tmp_path} is rendered already\n"
    assert len(videos) == 3 and [video.stat().st_mtime_ns for video in videos] == times


def test_a_number_of_videos_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--held_out must be at least 1, not 0"):
        main(tmp_path / "out", held_out=0)
    assert not (tmp_path / "out").exists()
