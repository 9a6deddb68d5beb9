"""The config of the fit and not of a later predict; and which videos have no film strip, in sentences."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from tvg_lightning.machine import Machine
from tvg_lightning.pages import run_files
from tvg_lightning.pages.run_files import config_of, ran_with, strips_of, videos_of

MACHINE = Machine("2026-01-02T03:04:05+00:00", "3.11.7", "Linux", {"torch": "2.13.0"}, "", "A processor", 16, 128.0, [])


def write(path: Path, text: str, written_at: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (written_at, written_at))


def test_the_config_of_the_newest_fit(tmp_path: Path) -> None:
    assert config_of(tmp_path, []) is None
    write(tmp_path / "version_3" / "config.yaml", "return_predictions: false\n", 9)
    assert config_of(tmp_path, []) == "return_predictions: false\n"
    write(tmp_path / "version_0" / "config.yaml", "data: {videos: a}\n", 1)
    write(tmp_path / "version_1" / "config.yaml", "data: {videos: b}\n", 2)
    write(tmp_path / "version_2" / "config.yaml", "data: {videos: c}\nverbose: true\n", 3)
    write(tmp_path / "earlier-1" / "config.yaml", "data: {videos: d}\n", 8)
    assert config_of(tmp_path, []) == "data: {videos: b}\n"
    assert config_of(tmp_path / "earlier-1", []) == "data: {videos: d}\n"


@pytest.mark.parametrize(("text", "folder"), [
    ("data: {videos: a/b}", Path("a/b")), ("data: {videos: null}", None), ("data: 3", None), ("[", None), (None, None),
])  # fmt: skip
def test_the_folder_of_the_videos(text: str | None, folder: Path | None) -> None:
    assert videos_of(text) == folder


def test_starts_that_cannot_be_shown_are_a_sentence(tmp_path: Path) -> None:
    notes: list[str] = []
    assert ran_with(tmp_path, notes) == [] == notes
    for text, words in (
        ("[3]", "not the starts of a run"),
        ("", ":1: not one JSON value"),
        ('[{"started"', ":1: not one JSON value"),
        ("{}", "not the starts of a run"),
        (json.dumps([asdict(MACHINE) | {"versions": ["torch"]}]), "a start with a value of another kind"),
        (json.dumps([asdict(MACHINE) | {"started": 5}]), "a start with a value of another kind"),
        (json.dumps([asdict(MACHINE) | {"memory_gib": "much"}]), "a start with a value of another kind"),
        (json.dumps([asdict(MACHINE) | {"gpus": [None]}]), "a start with a value of another kind"),
    ):
        (tmp_path / "machine.json").write_text(text)
        notes = []
        assert ran_with(tmp_path, notes) == [] and len(notes) == 1
        assert notes[0].startswith(f"{tmp_path}/machine.json:") and words in notes[0]
        assert notes[0].endswith("; move the file away. What the run ran with is left out.")


def test_a_config_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    write(tmp_path / "version_0" / "config.yaml", "data: {videos: a}\n", 1)
    (tmp_path / "version_1").mkdir()
    (tmp_path / "version_1" / "config.yaml").write_bytes(b"\xff")
    (tmp_path / "version_2" / "config.yaml").mkdir(parents=True)
    notes: list[str] = []
    assert config_of(tmp_path, notes) == "data: {videos: a}\n"
    passed_over = "It is passed over: restore the file, or remove it."
    assert sorted(notes) == [
        f"{tmp_path}/version_1/config.yaml: not UTF-8 text (byte 0); save it as UTF-8. {passed_over}",
        f"{tmp_path}/version_2/config.yaml: a folder, not a file. {passed_over}",
    ]
    for text, words in (
        ("", ": empty"), ("3", ": not the keys of a config"), ("a: [1,", ":1: no YAML ("), ("a: \x07", ": no YAML ("),
        ("data:\n  videos: a\n  tr", ":3: no YAML (could not find expected ':')"),
    ):  # fmt: skip
        write(tmp_path / "version_3" / "config.yaml", text, 2**33)
        notes = []
        assert config_of(tmp_path, notes) == text  # shown as it is
        assert notes[0].startswith(f"{tmp_path}/version_3/config.yaml{words}"), notes
        assert notes[0].endswith("give --videos.") and len(notes) == 1


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
