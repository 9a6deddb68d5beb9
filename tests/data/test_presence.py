from pathlib import Path

import pytest

from tvg_lightning.data import presence
from tvg_lightning.data.presence import missing_videos


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(10):
        (tmp_path / f"{number}.mp4").touch()
    return tmp_path


def test_all_there_is_nothing_to_say(folder: Path) -> None:
    assert missing_videos("data.train", folder, [f"{k}.mp4" for k in (0, 1, 1, 9)]) is None


def test_some_missing_is_said_and_none_there_is_refused(folder: Path) -> None:
    words = missing_videos("data.train", folder, ["1.mp4", "b.mp4", "a.mp4", "a.mp4"])
    assert words == f"data.videos: 2 of the 3 files that data.train names are not there, e.g. {folder}/a.mp4"
    with pytest.raises(
        ValueError, match=r"^data\.videos: none of the 2 files that data\.val names is there, e\.g\. .*/a"
    ):
        missing_videos("data.val", folder, ["b.mp4", "a.mp4"])
    with pytest.raises(ValueError, match="none of the 2 files"):  # a folder is no video, a name too long no error
        (folder / "c.mp4").mkdir()
        missing_videos("data.val", folder, ["c.mp4", "x" * 300])


def test_of_many_some_are_looked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of eleven at most four: the names 0, 3, 6 and 9, of which all are there, and then of nothing but absent ones."""
    monkeypatch.setattr(presence, "_MOST", 4)
    names = [f"{k}.mp4" for k in "0123456789"] + ["a.mp4"]
    assert missing_videos("data.train", folder, names) is None
    (folder / "6.mp4").unlink()
    words = missing_videos("data.train", folder, names)
    assert words is not None and "1 of the 11 files (4 of them looked for)" in words
    with pytest.raises(ValueError, match=r"none of the 11 files \(4 of them looked for\)"):
        missing_videos("data.train", folder / "elsewhere", names)


def test_a_mapped_video_is_looked_for_where_the_map_says(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "a.mkv").touch()
    names, video_map = ["1.mp4", "a.mp4"], {"a.mp4": "deep/a.mkv"}
    assert missing_videos("data.train", folder, names) is not None
    assert missing_videos("data.train", folder, names, video_map) is None
