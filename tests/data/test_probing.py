"""What is said of a file: by its frames' true times, and as it is shown."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tvg_lightning.data.probing import FileReport, probe, unreadable, video_files

WriteVideo = Callable[..., Path]


def test_rate_and_duration_are_of_the_true_times(write_video: WriteVideo) -> None:
    """Frames at 0, 0.5, 1 and 3 s: three intervals in 3 s, so 1 a second; the last lasts as long as is usual."""
    path = write_video("a.mp4", [0.0, 0.5, 1.0, 3.0])
    assert probe(path) == FileReport(
        str(path), True, "decord", pytest.approx(3.5), pytest.approx(1.0), 4, 64, 48, 0, "h264", start_s=0.0
    )


def test_pictures_that_begin_after_their_sound(write_video: WriteVideo) -> None:
    report = probe(write_video("a.mp4", [2.5 + k / 10 for k in range(30)], sound_s=6.0))
    assert (report.start_s, report.duration_s, report.fps) == pytest.approx((2.5, 5.5, 10.0), abs=2e-3)


def test_a_last_picture_that_stands(write_video: WriteVideo) -> None:
    report = probe(write_video("a.mp4", [k / 5 for k in range(50)], options={"bf": "0"}, still_s=5.0))
    assert (report.duration_s, report.fps) == pytest.approx((14.8, 5.0), abs=1e-3)


def test_a_single_frame_has_neither(write_video: WriteVideo) -> None:
    report = probe(write_video("a.mp4", [0.0]))
    assert report.ok and (report.num_frames, report.fps, report.duration_s) == (1, None, None)


def test_a_turned_video_is_as_wide_as_it_is_shown(write_video: WriteVideo) -> None:
    report = probe(write_video("a.mp4", [0.0, 0.1], size=(112, 56), rotation=270))
    assert (report.width, report.height, report.rotation) == (56, 112, 270)


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    report = probe(tmp_path / "a.mp4")
    assert report.error and report == unreadable(str(tmp_path / "a.mp4"), report.error)


def test_files_stand_as_given_and_those_of_folders_in_order(tmp_path: Path) -> None:
    """By their endings, at any depth; what is named itself is taken whatever its ending."""
    for name in ("b.mp4", "a.MKV", "notes.txt", "c/a.webm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    notes = tmp_path / "notes.txt"
    assert video_files([notes, tmp_path]) == [notes, *(tmp_path / name for name in ("a.MKV", "b.mp4", "c/a.webm"))]


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").touch()
    (tmp_path / "in" / "back").symlink_to(tmp_path)
    assert video_files([tmp_path]) == [tmp_path / "in" / "a.mp4"]


@pytest.mark.parametrize(("name", "words"), [("absent", "no such file or folder"), (".", "no video in this folder")])
def test_nothing_to_probe_is_an_error(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        video_files([tmp_path / name])
