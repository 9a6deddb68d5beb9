"""The strip is a JPEG of the frames side by side; a video is in the page up to the limit, beyond it linked."""

import io
from base64 import b64decode
from pathlib import Path

from PIL import Image

from tvg_lightning.pages.films import film_of, read_strip


def test_the_strip_holds_the_frames_side_by_side(shapes: Path) -> None:
    strip = read_strip(shapes / "videos" / "train_00000.mp4", num_frames=6, tokens=4)
    found = strip.as_json()
    assert (found["num"], found["width"], found["height"]) == (6, 56, 56)
    assert found["times_s"] == sorted(found["times_s"]) and found["times_s"][0] == 0.0
    picture = Image.open(io.BytesIO(b64decode(found["src"].removeprefix("data:image/jpeg;base64,"))))
    assert picture.size == (6 * 56, 56)


def test_small_videos_are_embedded_and_large_ones_linked(shapes: Path, tmp_path: Path) -> None:
    video = tmp_path / "a b#1.mp4"
    video.write_bytes((shapes / "videos" / "train_00000.mp4").read_bytes())
    strip = read_strip(video, num_frames=2, tokens=1)
    inside = film_of(video, 9.0, "h264", strip, tmp_path / "out", 24.0)
    assert inside["inside"] and b64decode(inside["bytes"]) == video.read_bytes() and "link" not in inside
    linked = film_of(video, 9.0, "h264", strip, tmp_path / "out", 0.0)
    assert not linked["inside"] and linked["link"] == "../a%20b%231.mp4" and "bytes" not in linked
