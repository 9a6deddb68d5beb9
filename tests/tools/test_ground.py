"""The command as people call it, on videos that it is given; and its page in a browser, where there is one."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser import until
from tvg_lightning.__main__ import COMMANDS, as_the_parser_wants, main
from tvg_lightning.data.annotations import jsonl
from tvg_lightning.data.items import Item
from tvg_lightning.modules.evaluation import Evaluated
from tvg_lightning.pages.films import Strip, film_of, read_strip
from tvg_lightning.pages.pieces import lanes_of, pieces_of, said
from tvg_lightning.pages.rendering import write_page
from tvg_lightning.schema import Answer, Sample, Span, Task
from tvg_lightning.tools.ground import TINY_NOTE, asked_about, question_of
from tvg_lightning.tools.ground import main as ground_main

BLACK = Strip(np.zeros((2, 28, 28, 3), dtype=np.uint8), (0.0, 4.0))
EVIL = "<think>At <timestamp>1.0 to 4.0</timestamp> " + (
    "<script>alert(1)</script> <img src=x onerror=alert()>, at 2.5 s.</think>"
)


def data_of(page: Path) -> Any:
    found = re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_three_videos_with_queries(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One by one: a query with its truth, a file of annotations, a file of lines."""
    samples = jsonl.read(shapes / "held_out.jsonl").samples
    by_video = {sample.video: [s for s in samples if s.video == sample.video] for sample in samples}
    for way, (name, of_video) in enumerate(by_video.items()):
        video, out = str(shapes / "videos" / name), tmp_path / name
        sample = of_video[0]
        assert sample.windows is not None
        if way == 0:
            window = [str(time_s) for time_s in sample.windows[0]]
            main(["ground", video, sample.query, "--truth", *window, "--out", str(out)])
            of_video = [sample]
        elif way == 1:
            jsonl.write(tmp_path / "queries.jsonl", of_video)
            main(["ground", video, "--queries", str(tmp_path / "queries.jsonl"), "--out", str(out), "--link"])
        else:
            (tmp_path / "queries.txt").write_text("".join(f"{s.query}\n\n" for s in of_video))
            main(["ground", "--out", str(out), video, "--queries", str(tmp_path / "queries.txt"), "--method=time_r1"])
        result = json.loads((out / "result.json").read_text())
        assert [answer["query"] for answer in result["answers"]] == [s.query for s in of_video]
        data = data_of(out / "index.html")
        for answer, question, s in zip(result["answers"], data["questions"], of_video, strict=True):
            assert "".join(piece["text"] for piece in question["pieces"]) == answer["text"]
            assert question["lanes"][-1]["bars"] == ([answer["span"]] if answer["span"] else [])
            truth = [lane["bars"] for lane in question["lanes"] if lane["kind"] == "truth"]
            assert truth == ([] if way == 2 else [[list(window) for window in s.windows or ()]])
            assert (answer["iou"] is None) == (way == 2)
        assert data["film"]["inside"] == (way != 1)
        assert TINY_NOTE in (out / "index.html").read_text(encoding="utf-8")
        pictures = sorted(out.glob("timeline*.png"))
        with Image.open(pictures[0]) as picture:
            assert len(pictures) == len(of_video) and picture.size[0] == 1100
        printed = capsys.readouterr().out
        assert all(f"{s.query}\n    " in printed for s in of_video)


def test_the_video_stands_before_the_queries() -> None:
    assert COMMANDS["ground"] == "ground.main"
    found = as_the_parser_wants(["ground", "v.mp4", "a b", "--link", "--out", "x"], {"ground": ground_main})
    assert found == ["ground", "--video=v.mp4", '--query=["a b"]', "--link=true", "--out", "x"]


def test_queries_and_truth_are_checked(tmp_path: Path) -> None:
    assert asked_about([" It rises. "], None, [1.0, 2.0, 5.0, 6.0]) == [("It rises.", (Span(1, 2), Span(5, 6)))]
    file = tmp_path / "q.jsonl"
    file.write_text('{"query": "a", "windows": []}\n{"query": "b"}\n')
    assert asked_about([], file, []) == [("a", ()), ("b", None)]
    file.write_text('{"query": "a"}\n{"query": 3}\n')
    with pytest.raises(ValueError, match=r"q\.jsonl:2: query must be a text"):
        asked_about([], file, [])
    with pytest.raises(ValueError, match="no query was given"):
        asked_about([], None, [])
    with pytest.raises(ValueError, match="belongs to one query"):
        asked_about(["a", "b"], None, [1.0, 2.0])
    with pytest.raises(ValueError, match="start before end"):
        asked_about(["a"], None, [2.0, 1.0])


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["missing.mp4", "It rises."], "missing.mp4: no such video"),
        (["empty.mp4", "It rises."], "empty.mp4: this video cannot be read"),
        (["empty.mp4"], "no query was given"),
        (["empty.mp4", "It rises.", "--fps", "0"], "--fps must be a positive number"),
        (["empty.mp4", "It rises.", "--queries", "no.txt"], "no.txt: no such file"),
    ],
)
def test_bad_input_is_one_line(args: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.mp4").touch()
    with pytest.raises(SystemExit) as ended:
        main(["ground", *args])
    assert str(ended.value).startswith("error: ") and words in str(ended.value) and "\n" not in str(ended.value)
    assert not Path("grounded").exists()


def evil_page(folder: Path, video: Path, most_mib: float, codec: str = "h264") -> Path:
    """A page of two answers, one of which holds a script; what is played is what ``film_of`` makes of the file."""
    answers = [
        (EVIL, Answer(False, (Span(1.5, 2.5),), (Span(1.0, 4.0),))),
        ("I do not know.", Answer(False, None)),
    ]
    questions = [
        {
            "query": f"Query {number} <b>bold</b>", "said": said(answer), "iou": None, "follows_format": False,
            "lanes": lanes_of((Span(1.0, 3.0),), answer, (0.5,) * len(answer.anchors), None), "note": "",
            "pieces": pieces_of(text, answer),
        }
        for number, (text, answer) in enumerate(answers)
    ]  # fmt: skip
    strip = BLACK
    if video.stat().st_size > 100:
        strip = read_strip(video, num_frames=8, tokens=4)
    film = film_of(video, 8.0, codec, strip, folder, most_mib)
    scripts = ("view.js", "ground.js")
    more = {"title": "A page", "facts": [], "notes": [], "answers": ""}
    write_page(folder / "index.html", "ground.html", scripts, {"film": film, "questions": questions}, **more)
    return folder / "index.html"


def time_of(page: Any) -> float:
    return float(page.locator("#player").get_attribute("data-time"))


def wait(page: Any, condition: str) -> None:
    until(page, f"document.getElementById('player').dataset.{condition}")


@pytest.mark.parametrize("kind", ["embedded", "linked", "unplayable"])
def test_a_time_in_a_thought_seeks_and_plays_its_window_once(
    kind: str, shapes: Path, tmp_path: Path, opened: Callable[[Path], Any]
) -> None:
    video = shapes / "videos" / "train_00000.mp4"
    if kind == "unplayable":
        video = tmp_path / "strange.mp4"
        video.write_bytes(b"no video")
    page = opened(evil_page(tmp_path, video, 0.0 if kind == "linked" else 24.0, "vvc"))
    if kind == "unplayable":
        page.wait_for_selector(".player-note:not([hidden])")
        assert "cannot play this video (vvc)" in page.inner_text(".player-note")
    else:
        until(page, "document.querySelector('video').videoWidth > 0")
    page.get_by_role("button", name="2.5 s", exact=True).click()
    wait(page, "playing === 'true'")
    assert 2.5 <= time_of(page) < 3.5
    wait(page, "playing === 'false'")  # an instant is a second long
    assert time_of(page) == pytest.approx(3.5, abs=0.15)


def test_scripts_in_a_thought_are_shown_and_never_run(
    shapes: Path, tmp_path: Path, opened: Callable[[Path], Any]
) -> None:
    page = opened(evil_page(tmp_path, shapes / "videos" / "train_00000.mp4", 24.0))
    assert page.inner_text(".thought") == EVIL
    assert page.inner_text("#answer h2") == "Query 0 <b>bold</b>"
    assert page.locator("#answer img, #answer script, #answer b, .questions b").count() == 0


def test_a_window_after_the_end_is_said_and_not_played(
    shapes: Path, tmp_path: Path, opened: Callable[[Path], Any]
) -> None:
    text, answer = "<answer>19.0 to 26.5</answer>", Answer(True, (Span(19.0, 26.5),))
    sample = Sample("1", "v.mp4", 8.0, "It spins.", None)
    item = Item(sample, Task.TVG, prompt=None, clip=None, query_verbs=(), position=0)
    question = question_of(Evaluated(item, text, answer, (), None, 9, False))
    assert question["note"] == "The answer lies after the end of the video, which is 8.0 s long."
    film = film_of(shapes / "videos" / "train_00000.mp4", 8.0, "h264", BLACK, tmp_path, 24.0)
    data, more = {"film": film, "questions": [question]}, {"title": "A page", "facts": [], "notes": [], "answers": ""}
    write_page(tmp_path / "index.html", "ground.html", ("view.js", "ground.js"), data, **more)
    page = opened(tmp_path / "index.html")
    until(page, "document.querySelector('video').videoWidth > 0")
    assert time_of(page) == 0.0 and page.locator(".bar").count() == 0
    assert page.inner_text(".lane-note") == "19.0 – 26.5 is after the end"
    page.locator(".thought").get_by_role("button", name="19.0 to 26.5").click()
    page.wait_for_timeout(300)
    assert time_of(page) == pytest.approx(8.0, abs=0.2) and page.get_attribute("#player", "data-playing") == "false"


def test_keys(shapes: Path, tmp_path: Path, opened: Callable[[Path], Any]) -> None:
    page = opened(evil_page(tmp_path, shapes / "videos" / "train_00000.mp4", 24.0))
    until(page, "document.querySelector('video').videoWidth > 0")
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(200)
    assert time_of(page) == pytest.approx(2.5, abs=0.05)  # it stood at the answer's start
    page.keyboard.press("Shift+ArrowLeft")
    page.wait_for_timeout(200)
    assert time_of(page) == pytest.approx(2.4, abs=0.05)
    page.keyboard.press(" ")
    wait(page, "playing === 'true'")
    page.keyboard.press("n")
    wait(page, "playing === 'false'")
    assert "no answer that can be read" in page.inner_text("#answer")
    page.keyboard.press("p")
    assert page.inner_text(".thought") == EVIL


def test_a_video_that_is_gone_is_asked_for(shapes: Path, tmp_path: Path, opened: Callable[[Path], Any]) -> None:
    video = tmp_path / "moved.mp4"
    video.write_bytes((shapes / "videos" / "train_00000.mp4").read_bytes())
    file = evil_page(tmp_path / "page", video, 0.0)
    video.unlink()
    page = opened(file)
    page.wait_for_selector(".player-note input")
    assert "The video is not at ../moved.mp4" in page.inner_text(".player-note")
    page.set_input_files(".player-note input", shapes / "videos" / "train_00001.mp4")
    until(page, "document.querySelector('.player-note').hidden")
    assert page.evaluate("document.querySelector('video').videoWidth") > 0
