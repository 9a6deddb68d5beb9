import json
from pathlib import Path

import pytest

from tvg_lightning.__main__ import main
from tvg_lightning.data.annotations import jsonl
from tvg_lightning.schema import Sample, Span
from tvg_lightning.tools.data import convert, inspect

PNG = b"\x89PNG"


def save(folder: Path) -> Path:
    path = folder / "val.json"
    times, sentences = [[1, 2], [9, 3], [8, 11]], ["a goat eats", "it stops", " it leaves"]
    path.write_text(json.dumps({"v_g": {"duration": 10, "timestamps": times, "sentences": sentences}}))
    return path


def test_inspect_says_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inspect("activitynet_captions", save(tmp_path))
    said = capsys.readouterr().out
    assert "3 records of 1 videos\n2 read, 1 fixed, 1 clipped, 1 refused\n" in said
    assert "  refused window is reversed: 1 (v_g_1)\n" in said and said.endswith("\npicture: inspect_val.png\n")
    assert (tmp_path / "inspect_val.png").read_bytes().startswith(PNG)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["--benchmark=activitynet_captions", f"--annotations={save(tmp_path)}"]
    main(["data", "inspect", *args, "--examples=0", f"--out={tmp_path / 'new' / 'goats.png'}"])
    assert "  refused window is reversed: 1\n" in capsys.readouterr().out
    assert (tmp_path / "new" / "goats.png").read_bytes().startswith(PNG)
    main(["data", "convert", *args, f"--out={tmp_path / 'val.jsonl'}"])
    assert len(jsonl.read(tmp_path / "val.jsonl").samples) == 2
    with pytest.raises(SystemExit) as caught:
        main(["data", "inspect", "--benchmark=qvhighlights", args[1]])
    assert str(caught.value).startswith(f"error: {tmp_path / 'val.json'}:1: another form: qid, query, vid, duration")


def test_convert_writes_what_can_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out" / "val.jsonl"
    convert("activitynet_captions", save(tmp_path), out)
    result = jsonl.read(out)
    assert result.samples == (
        Sample("v_g_0", "v_g.mp4", 10.0, "a goat eats", (Span(1.0, 2.0),)),
        Sample("v_g_2", "v_g.mp4", 10.0, "it leaves", (Span(8.0, 10.0),)),
    )
    assert not (result.report.fixed or result.report.clipped or result.report.refused)
    said = capsys.readouterr().out
    assert "window is reversed: 1 (v_g_1)" in said and said.endswith(f"\nwritten: {out}\n")


def test_videos_outside_of_the_folder_are_refused_unless_allowed(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"video": "/a.mp4", "query": "q", "windows": [[1, 2]], "duration": 9}\n', encoding="utf-8")
    args = ["--benchmark=jsonl", f"--annotations={path}"]
    for command, out in (("inspect", tmp_path / "a.png"), ("convert", tmp_path / "a.jsonl")):
        with pytest.raises(SystemExit, match=r"own\.jsonl:1: the video '/a\.mp4' .*--videos_outside true"):
            main(["data", command, *args, f"--out={out}"])
        assert not out.exists()
        main(["data", command, *args, f"--out={out}", "--videos_outside=true"])
        assert out.exists()


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = save(tmp_path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"val\.json exists already: remove it or choose another name"):
        convert("activitynet_captions", path, path)
    assert path.read_bytes() == before


def test_examples_below_zero_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="examples: expected 0 or more, got -1"):
        inspect("activitynet_captions", save(tmp_path), out=tmp_path / "a.png", examples=-1)


def test_inspect_writes_over_nothing_that_it_is_given(tmp_path: Path) -> None:
    path = save(tmp_path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"val\.json exists already: remove it or choose another name"):
        inspect("activitynet_captions", path, out=path)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["val.json"]


def test_the_usual_picture_is_drawn_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        inspect("activitynet_captions", save(tmp_path))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["inspect_val.png", "val.json"]


OWN = {"id": "1", "query": "a cat \ud83d jumps", "video": "a.mp4", "duration": 2, "windows": [[0, 1]]}
QVH = {"qid": 1, "query": "a cat \ud83d jumps", "vid": "a", "duration": 2, "relevant_windows": [[0, 1]]}


@pytest.mark.parametrize(("benchmark", "line"), [("jsonl", OWN), ("qvhighlights", QVH)])
def test_half_an_emoji_is_fixed_counted_and_converted(
    benchmark: str, line: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "a.jsonl", tmp_path / "out.jsonl"
    path.write_text(json.dumps(line) + "\n")
    args = [f"--benchmark={benchmark}", f"--annotations={path}"]
    main(["data", "inspect", *args, f"--out={tmp_path / 'a.png'}"])
    assert "1 read, 1 fixed, 0 clipped, 0 refused" in capsys.readouterr().out
    main(["data", "convert", *args, f"--out={out}"])
    result = jsonl.read(out)
    assert [sample.query for sample in result.samples] == ["a cat � jumps"] and not result.report.fixed


@pytest.mark.parametrize(("benchmark", "name"), [("jsonl", "own"), ("qvhighlights", "qvh")])
def test_half_an_emoji_in_a_file_of_two(benchmark: str, name: str, shared: Path, tmp_path: Path) -> None:
    path, out = shared / "faults" / f"surrogate_query_{name}.jsonl", tmp_path / "out.jsonl"
    main(["data", "convert", f"--benchmark={benchmark}", f"--annotations={path}", f"--out={out}"])
    assert [sample.query for sample in jsonl.read(out).samples] == ["a cat � jumps", "a dog jumps"]


def test_videos_says_what_is_missing_and_maps_what_is_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "videos", tmp_path / "map.json"
    for name in ("a.mp4", "deep/b.mkv", "one/c.mp4", "two/c.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    names = ["a", "b", "c", "d", "d"]
    lines = [{"video": f"{name}.mp4", "query": "q", "duration": 9, "windows": [[1, 2]]} for name in names]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        main(["data", "videos", f"--annotations={path}", f"--videos={folder}", f"--map={out}"])
    assert caught.value.code == 1
    assert capsys.readouterr().out == (
        "4 videos of 5 queries\n"
        "in their place: 1\n"
        "found elsewhere: 1\n"
        f"  b.mp4 -> {folder}/deep/b.mkv\n"
        "ambiguous, none is taken: 1\n"
        f"  c.mp4: {folder}/one/c.mp4, {folder}/two/c.mp4\n"
        "missing: 1, asked about by 2 queries\n"
        "  d.mp4\n"
        f"written: {out}, for data.video_map\n"
    )
    assert json.loads(out.read_text()) == {"b.mp4": f"{folder}/deep/b.mkv"}


def test_videos_of_a_published_form_that_are_all_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "v_g.mp4").touch()
    args = [f"--annotations={save(tmp_path)}", f"--videos={tmp_path}", "--benchmark=activitynet_captions"]
    main(["data", "videos", *args])  # ends with status 0
    said = capsys.readouterr().out
    assert (
        "1 videos of 3 queries\n" in said
        and "missing: 0\n" in said
        and said.endswith("--map out.json and data.video_map out.json\n")
    )


def test_videos_outside_and_what_exists_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"video": "../a.mp4", "query": "q", "windows": [[1, 2]], "duration": 9}\n', encoding="utf-8")
    args = [f"--annotations={path}", f"--videos={tmp_path}"]
    with pytest.raises(SystemExit, match=r"own\.jsonl:1: the video '\.\./a\.mp4' has"):
        main(["data", "videos", *args])
    with pytest.raises(SystemExit, match=r"own\.jsonl exists already"):
        main(["data", "videos", *args, f"--map={path}"])
    with pytest.raises(SystemExit, match="there is no such folder of videos"):
        main(["data", "videos", args[0], f"--videos={tmp_path}/no"])
