import json
from pathlib import Path

import pytest

from tests.data.conftest import WriteVideo
from tvg_lightning.__main__ import main as command
from tvg_lightning.tools.probe import main

KEYS = [
    "path",
    "ok",
    "backend",
    "duration_s",
    "fps",
    "num_frames",
    "width",
    "height",
    "rotation",
    "codec",
    "error",
    "start_s",
]


@pytest.fixture
def folder(write_video: WriteVideo, tmp_path: Path) -> Path:
    """A good file below, a turned one, one in text, one that is no video by its name."""
    (tmp_path / "below").mkdir()
    write_video("good.mp4", [k / 10 for k in range(20)]).rename(tmp_path / "below" / "good.mp4")
    write_video("turned.mp4", [k / 10 for k in range(20)], size=(112, 56), rotation=90)
    (tmp_path / "text.MP4").write_text("hello")
    (tmp_path / "notes.txt").write_text("hello")
    return tmp_path


@pytest.mark.parametrize("line", ["FOLDER NOTES --json --num_workers 1", "--json FOLDER --num_workers 1 NOTES"])
def test_every_file_and_a_summary(line: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = {"FOLDER": str(folder), "NOTES": str(folder / "notes.txt")}
    with pytest.raises(SystemExit, match=r"^1$"):
        command(["probe", *(paths.get(word, word) for word in line.split())])
    *reports, last = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert all(list(report) == KEYS for report in reports)
    by_name = {Path(report["path"]).name: report for report in reports}
    assert list(by_name) == ["good.mp4", "text.MP4", "turned.mp4", "notes.txt"]
    assert by_name["good.mp4"] == {
        "path": str(folder / "below" / "good.mp4"),
        "ok": True,
        "backend": "decord",
        "duration_s": pytest.approx(2.0),
        "fps": pytest.approx(10.0),
        "num_frames": 20,
        "width": 64,
        "height": 48,
        "rotation": 0,
        "codec": "h264",
        "error": None,
        "start_s": 0.0,
    }
    turned = by_name["turned.mp4"]
    assert (turned["width"], turned["height"], turned["rotation"]) == (56, 112, 90)
    for name in ("text.MP4", "notes.txt"):
        assert not by_name[name]["ok"] and by_name[name]["error"] and by_name[name]["fps"] is None
    assert last == {
        "summary": {
            "num_files": 4,
            "num_ok": 2,
            "num_bad": 2,
            "backends": {"decord": 2},
            "duration_s": pytest.approx(4.0),
        }
    }


def test_damage_anywhere_in_a_file_is_found(
    write_video: WriteVideo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All frames are listed; the last quarter of them cannot be decoded."""
    path = write_video("hurt.mp4", [k / 10 for k in range(100)], container={"movflags": "faststart"})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4] + b"\xff" * (len(content) - len(content) * 3 // 4))
    with pytest.raises(SystemExit, match=r"^1$"):
        main([path], json=True, num_workers=1)
    report = json.loads(capsys.readouterr().out.splitlines()[0])
    assert not report["ok"] and "decord: " in report["error"] and "pyav: " in report["error"]


@pytest.mark.slow
@pytest.mark.usefixtures("doubles")
def test_files_that_hang_or_crash(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("hangs.mp4", "crashes.mp4"):
        (folder / name).write_bytes(b"x")
    with pytest.raises(SystemExit, match=r"^1$"):
        main([folder / "hangs.mp4", folder / "crashes.mp4", folder / "below"], num_workers=1, timeout_s=2.0)
    hangs, crashes, good, summary = capsys.readouterr().out.splitlines()
    assert hangs.startswith("BAD") and hangs.endswith("reading it took more than 2 s")
    assert crashes.startswith("BAD") and crashes.endswith("its decoder died (SIGSEGV)")
    assert good.endswith("h264 64x48, 2.00 s, 10.00 fps, by decord")
    assert summary == "1 of 3 files can be read (1 by decord)"


def test_folders_behind_links_are_searched_and_each_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "links").mkdir()
    (folder / "links" / "far").symlink_to(folder / "below")
    (folder / "below" / "round").symlink_to(folder / "below")
    main([folder / "links"], num_workers=1)  # all can be read: no exit
    good, summary = capsys.readouterr().out.splitlines()
    assert good.startswith(f"ok  {folder}/links/far/good.mp4: ") and summary == "1 of 1 files can be read (1 by decord)"


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file or folder"):
        main([tmp_path / "absent"])
    with pytest.raises(ValueError, match="num_workers"):
        main([tmp_path], num_workers=0)
    for timeout_s in (0.0, 86_401.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="--timeout_s must be above 0 and at most a day"):
            main([tmp_path], timeout_s=timeout_s)
    with pytest.raises(ValueError, match="no video in this folder"):
        main([tmp_path])
