import json
from pathlib import Path

import pytest

from tvg_lightning.data import video_files
from tvg_lightning.data.video_files import locate, read_video_map, search


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_every_name_is_in_one_group(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "part 1/b.mp4", "c.mkv", "one/d.mp4", "two/d.mp4", "one/e.webm", "e.MOV", "two/e.mp4.txt")
    touch(tmp_path, "x_60.0_210.0.mkv", "f.json", "one/g.mp4", "two/g.mkv", "h.mp4/i.txt")
    names = ["a.mp4", "b.mp4", "old/c.mp4", "d.mp4", "e.mp4", "f.mp4", "g.mp4", "h.mp4", "x_60.0_210.0.mp4", "a.mp4"]
    found = search(names, tmp_path)
    assert found.present == ("a.mp4",)
    assert found.moved == {
        "b.mp4": tmp_path / "part 1/b.mp4",
        "old/c.mp4": tmp_path / "c.mkv",
        "g.mp4": tmp_path / "one/g.mp4",  # of the same name, before two/g.mkv
        "x_60.0_210.0.mp4": tmp_path / "x_60.0_210.0.mkv",
    }
    assert found.ambiguous == {
        "d.mp4": (tmp_path / "one/d.mp4", tmp_path / "two/d.mp4"),
        "e.mp4": (tmp_path / "e.MOV", tmp_path / "one/e.webm"),
    }
    assert found.missing == ("f.mp4", "h.mp4")
    groups = [*found.present, *found.moved, *found.ambiguous, *found.missing]
    assert sorted(groups) == sorted(set(names))


def test_all_of_many_are_looked_for(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{k}.mp4" for k in range(0, 1200, 2)))
    found = search((f"{k}.mp4" for k in range(1200)), tmp_path)
    assert (len(found.present), len(found.missing)) == (600, 600)


def test_links_are_followed_and_a_file_with_two_names_is_one(tmp_path: Path) -> None:
    store, videos = tmp_path / "store", tmp_path / "videos"
    touch(store, "deep/a.mp4")
    touch(videos, "b.mp4")
    (videos / "linked").symlink_to(store)
    (videos / "again.mp4").symlink_to(store / "deep" / "a.mp4")
    (store / "deep" / "round").symlink_to(videos)  # and so for ever
    (videos / "gone.mp4").symlink_to(tmp_path / "nothing")
    (store / "c").mkdir()
    (store / "c" / "a.mp4").symlink_to(store / "deep" / "a.mp4")
    walked = [str(file.relative_to(videos)) for file in video_files._video_files(videos)]
    assert sorted(walked) == ["again.mp4", "b.mp4", "linked/c/a.mp4", "linked/deep/a.mp4"]  # each once, not for ever
    found = search(["a.mp4", "gone.mp4", "x/again.mkv", "b.mkv"], videos)
    assert found.moved["a.mp4"].resolve() == store / "deep/a.mp4"
    assert found.moved["x/again.mkv"] == videos / "again.mp4" and found.moved["b.mkv"] == videos / "b.mp4"
    assert found.missing == ("gone.mp4",) and not found.ambiguous


def test_a_map_is_read_and_followed(tmp_path: Path) -> None:
    touch(tmp_path, "videos/part/a.mkv", "elsewhere/b.mp4")
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"a.mp4": "part/a.mkv", "b.mp4": str(tmp_path / "elsewhere/b.mp4")}))
    videos = tmp_path / "videos"
    video_map = read_video_map("data.video_map", path, videos)
    files = [locate(videos, name, video_map) for name in ("a.mp4", "b.mp4", "c.mp4")]
    assert files == [videos / "part/a.mkv", tmp_path / "elsewhere/b.mp4", videos / "c.mp4"]
    assert locate(videos, "a.mp4", read_video_map("data.video_map", None, videos)) == videos / "a.mp4"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("[]", r"must be a JSON object of video names to paths, got '\[\]'"),
        ('{"a.mp4": 7}', r"'a\.mp4': the path must be a text, got 7"),
        ('{"a.mp4": ""}', r"'a\.mp4': the path must be a text, got ''"),
        ('{"a.mp4": "no.mp4"}', r"'a\.mp4': there is no file .*videos/no\.mp4; write the map anew"),
        ('{"a.mp4": "folder"}', r"'a\.mp4': there is no file .*videos/folder;"),
        ('{"a.mp4": "x", "a.mp4": "y"}', "the key 'a.mp4' stands twice"),
        ("{", r"not one JSON value"),
    ],
)
def test_a_map_that_cannot_be_followed_is_one_error(content: str | None, message: str, tmp_path: Path) -> None:
    (tmp_path / "videos/folder").mkdir(parents=True)
    path = tmp_path / "map.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=rf"^data\.video_map: .*map\.json:.*{message}"):
        read_video_map("data.video_map", path, tmp_path / "videos")
