"""The config of the fit and not of a later predict; and which videos have no film strip, in sentences."""

import os
from pathlib import Path

import pytest

from tvg_lightning.pages import run_files
from tvg_lightning.pages.run_files import config_of, ran_with, strips_of, summary_of, videos_of


def write(path: Path, text: str, written_at: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (written_at, written_at))


def test_the_config_of_the_newest_fit(tmp_path: Path) -> None:
    assert config_of(tmp_path) is None
    write(tmp_path / "version_3" / "config.yaml", "return_predictions: false\n", 9)
    assert config_of(tmp_path) == "return_predictions: false\n"
    write(tmp_path / "version_0" / "config.yaml", "data: {videos: a}\n", 1)
    write(tmp_path / "version_1" / "config.yaml", "data: {videos: b}\n", 2)
    write(tmp_path / "version_2" / "config.yaml", "data: {videos: c}\nverbose: true\n", 3)
    write(tmp_path / "earlier-1" / "config.yaml", "data: {videos: d}\n", 8)
    assert config_of(tmp_path) == "data: {videos: b}\n"


@pytest.mark.parametrize(("text", "folder"), [
    ("data: {videos: a/b}", Path("a/b")), ("data: {videos: null}", None), ("data: 3", None), ("[", None), (None, None),
])  # fmt: skip
def test_the_folder_of_the_videos(text: str | None, folder: Path | None) -> None:
    assert videos_of(text) == folder


def test_starts_that_cannot_be_shown_are_a_sentence(tmp_path: Path) -> None:
    assert ran_with(tmp_path) == []
    (tmp_path / "machine.json").write_text("[3]")
    assert ran_with(tmp_path) == [f"{tmp_path}/machine.json: not the starts of a run; move the file away"]


def test_a_summary_that_is_no_table_has_no_rows(tmp_path: Path) -> None:
    assert summary_of(tmp_path) == []
    (tmp_path / "summary.json").write_text('{"stage": 1}')
    assert summary_of(tmp_path) == []
    (tmp_path / "summary.json").write_text('[{"stage": "base"}, 3]')
    assert summary_of(tmp_path) == [{"stage": "base"}]


def test_videos_without_a_film_strip(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    good = [shapes / "videos" / f"train_0000{number}.mp4" for number in range(3)]
    wanted = {path.name: path for path in (*good, tmp_path / "bad.mp4", tmp_path / "gone.mp4")}
    films, notes = strips_of(wanted)
    assert sorted(films) == [path.name for path in good]
    assert notes == [
        f"1 of 5 videos is not in {tmp_path} and without a film strip here: give --videos.",
        "1 of 5 videos is without a film strip here, as reading failed.",
    ]
    monkeypatch.setattr(run_files, "MAX_VIDEOS", 2)
    films, notes = strips_of({path.name: path for path in good})
    assert (len(films), notes) == (2, ["2 of 3 videos have a film strip here, those of the first groups."])
    assert strips_of({"a.mp4": None})[1][0].startswith("1 of 1 videos is in a folder that no config names")
    assert strips_of({}) == ({}, [])
