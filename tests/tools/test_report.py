"""The command on hand-made runs: the page, what is refused, and the page in a browser, where there is one."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger

from tests.browser import until
from tests.builders import GOOD_TRACE, write_traces
from tests.tools.test_ground import data_of
from tvg_lightning.__main__ import main
from tvg_lightning.machine import Machine, record_start
from tvg_lightning.schema import Span

EVIL = "<think>At <timestamp>10.0 to 18.0</timestamp> <script>alert(1)</script></think><answer>10.0 to 19.0</answer>"


def write_run(folder: Path, reward: float = 1.0) -> Path:
    """Ten groups of two queries, a summary and a config."""
    traces = [
        replace(
            GOOD_TRACE, step=step, rollout=k, sample_id=f"s{step % 2}", query=f"Query {step % 2} <b>bold</b>",
            text=EVIL, reward=reward * step + k, advantage=k - 0.5, rewards={"iou": 0.9}, answer_iou=0.9,
            anchor_ious=(0.7, 0.8),
        )
        for step in range(10)
        for k in range(3)
    ]  # fmt: skip
    write_traces(folder / "traces" / "explore-rank0.jsonl", traces)
    (folder / "summary.json").write_text(json.dumps([{"stage": "base", "mIoU": 0.125, "steps": 0}]))
    (folder / "config.yaml").write_text("data: {videos: nowhere}\nnote: </pre><script>alert(3)</script>\n")
    return folder


def test_a_page_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run")
    main(["report", str(run)])
    assert f"{run}/report.html: " in capsys.readouterr().out
    page = (run / "report.html").read_text(encoding="utf-8")
    assert page.count("<script") == 2  # data and ours; texts and config are escaped
    for words in (
        "30 completions were read",
        "0.125",
        "reward parts",
        "nothing wrong",
        "&lt;script&gt;alert(3)",
        "<b>explore, tvg:</b>",
    ):
        assert words in page
    (found,) = data_of(run / "report.html")["runs"]
    assert found["queries"] == {"s0": [0, 2, 4, 6, 8], "s1": [1, 3, 5, 7, 9]}
    assert found["lists"]["best"][0] == [9, 2] and found["lists"]["worst"][0] == [0, 0]
    one = found["groups"]["9"]["completions"][2]
    assert (one["reward"], one["advantage"], one["rewards"]) == (11.0, 1.5, {"iou": 0.9})
    assert [lane["iou"] for lane in one["lanes"]] == [None, 0.7, 0.8, 0.9]


def test_a_run_of_sft_alone(tmp_path: Path, opened: Callable[[Path], Any]) -> None:
    rows = [{"stage": "base", "mIoU": 0.125, "steps": 0}, {"stage": "epoch 1", "mIoU": 0.5, "steps": 20}]
    (tmp_path / "summary.json").write_text(json.dumps(rows))
    logger = CSVLogger(str(tmp_path), name="log")
    for step in range(3):
        logger.log_metrics({"train/loss": 3.0 - step, "held_out/mIoU": step / 4}, step)
    logger.save()
    main(["report", str(tmp_path)])
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "no traces here, which steps of GRPO write and those of SFT do not: there are no completions" in text
    page = opened(tmp_path / "report.html")
    assert page.locator("tbody tr").all_inner_texts() == ["base\t0.125\t0", "epoch 1\t0.5\t20"]
    assert page.locator("figcaption").all_inner_texts() == ["loss", "mIoU of validation"]
    assert page.locator("#slider").count() == 0


def test_one_run_of_two_may_have_no_traces(tmp_path: Path, opened: Callable[[Path], Any]) -> None:
    run = write_run(tmp_path / "run")
    (tmp_path / "sft").mkdir()
    (tmp_path / "sft" / "config.yaml").write_text("data: {}\n")
    for first, second in (("sft", "run"), ("run", "sft")):
        main(["report", str(tmp_path / first), str(tmp_path / second), "--out", str(tmp_path / "page.html")])
        page = opened(tmp_path / "page.html")
        assert page.locator(".view").count() == 1 and "sft: no traces here" in page.inner_text("body")
    assert run.is_dir()


def test_videos_that_are_gone_are_said(tmp_path: Path) -> None:
    main(["report", str(write_run(tmp_path / "run"))])
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "1 of 1 videos is not in nowhere and without a film strip here: give --videos." in page


def test_answers_that_are_sets(tmp_path: Path, opened: Callable[[Path], Any]) -> None:
    """Several windows, none, and a truth that nobody knows."""
    two = (Span(1.0, 3.0), Span(6.0, 8.0))
    cases = [("twice", two, two, 1.0), ("never", (), (), 1.0), ("unknown", None, two[:1], None)]
    write_traces(tmp_path / "traces" / "rl-rank0.jsonl", [
        replace(
            GOOD_TRACE, stage="rl", step=step, sample_id=name, query=name, windows=windows, spans=spans, is_set=True,
            anchors=(), anchor_ious=(), answer_iou=iou, rollout=k, text="1.0 - 3.0 and 6.0 - 8.0",
        )
        for step, (name, windows, spans, iou) in enumerate(cases)
        for k in range(2)
    ])  # fmt: skip
    main(["report", str(tmp_path)])
    page = opened(tmp_path / "report.html")
    found = {}
    for name, *_ in cases:
        page.select_option("#list", "spread over the run")
        page.fill("#words", name)
        found[name] = [page.locator(f".view {bar}").count() for bar in (".bar.truth", ".bar.completion")]
        assert page.locator(".lane-note").all_inner_texts() == (["not in this video"] * 3 if name == "never" else [])
    assert found == {"twice": [2, 4], "never": [0, 0], "unknown": [0, 2]}
    page.fill("#words", "twice")
    for width in (1280, 400):
        page.set_viewport_size({"width": width, "height": 860})
        page.wait_for_timeout(200)
        for track in page.locator(".view .track").all():
            boxes = sorted(box for box in map(_sides, track.locator(".bar-label:not([hidden])").all()))
            assert all(end <= start for (_, end), (start, _) in pairwise(boxes)), f"labels overlap: {boxes}"
    page.set_viewport_size({"width": 1280, "height": 860})
    page.wait_for_timeout(200)
    assert page.locator(".track.truth .bar-label:not([hidden])").count() == 2


def _sides(label: Any) -> tuple[float, float]:
    box = label.bounding_box()
    return box["x"], box["x"] + box["width"]


def test_keys_of_the_page_of_a_run(tmp_path: Path, opened: Callable[[Path], Any]) -> None:
    main(["report", str(write_run(tmp_path / "run"))])
    page = opened(tmp_path / "run" / "report.html")
    page.keyboard.press("p")
    assert page.inner_text("#where") == "step 6"
    page.keyboard.press("n")
    page.keyboard.press("n")
    assert page.inner_text("#where") == "step 8"  # the last stays
    page.keyboard.press("ArrowRight")
    assert page.locator(".player").first.get_attribute("data-time") == "1.000"
    page.keyboard.press(" ")
    until(page, "document.querySelector('.player').dataset.playing === 'true'")
    page.locator(".pick").nth(2).click()
    assert "completion 3" in page.inner_text(".detail h3")


def test_what_each_start_ran_with(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    main(["report", str(run)])
    assert "recorded no versions and no machine" in (run / "report.html").read_text(encoding="utf-8")
    at_first = Machine(
        "2026-01-02T03:04:05+00:00", "3.11.7", "Linux 6 on x86_64", {"torch": "2.13.0", "tvg-lightning": "0.1.0"},
        "0123abcd-changed", "A processor", 16, 128.0, ["A GPU, 80.0 GiB"], 2,
    )  # fmt: skip
    for machine in (at_first, replace(at_first, started="2026-01-02T05:00:00+00:00"), replace(at_first, gpus=[])):
        record_start(run, machine)
    main(["report", str(run)])
    page = (run / "report.html").read_text(encoding="utf-8")
    assert page.count("started 2026") == 2  # two starts on the same machine share a line
    words = "started 2026-01-02 03:04:05 UTC, 2026-01-02 05:00:00 UTC: tvg-lightning 0.1.0, commit 0123abcd-changed · "
    assert (
        words + "Python 3.11.7 · torch 2.13.0 · Linux 6 on x86_64 · A processor, 16 cores, 128 GiB · A GPU, 80" in page
    )
    assert "128 GiB · no GPU · 2 processes" in page


def test_files_that_cannot_be_read_are_said_on_the_page_and_on_standard_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, opened: Callable[[Path], Any]
) -> None:
    run = write_run(tmp_path / "run")
    with (run / "traces" / "explore-rank0.jsonl").open("a") as file:
        file.write('{"stage": "expl')
    (run / "summary.json").write_text('[{"stage": "ba')
    (run / "machine.json").touch()
    (run / "metrics.csv").write_text("step,train/loss\n0,0.5\n1,0.25\n2,a\n")
    (run / "config.yaml").write_text("data: {videos: nowhere\n")
    main(["report", str(run)])
    page = opened(run / "report.html")
    notes = page.locator("body > .quiet-note").all_inner_texts()
    for name, words in (
        ("traces/explore-rank0.jsonl", "its last line is torn, as the run died while it wrote; it is passed over."),
        ("summary.json:1", "The table of stages is left out: restore the file, or remove it."),
        ("machine.json:1", "move the file away. What the run ran with is left out."),
        ("metrics.csv:4", "What stands behind it is missing here: repair the line, or restore the file."),
        ("config.yaml:2", "It stands here as it is, and does not say where the videos are: give --videos."),
    ):
        (note,) = [note for note in notes if note.startswith(f"{run}/{name}: ")]
        assert note.endswith(words) and [r.getMessage() for r in caplog.records].count(note) == 1
    assert "loss" in page.locator("figcaption").all_inner_texts() and page.inner_text("#count") == "5 groups"
    assert "has a machine.json that cannot be read" in page.inner_text("body")
    assert "data: {videos: nowhere" in page.locator("pre").text_content()


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "begun" / "traces").mkdir(parents=True)
    (tmp_path / "begun" / "traces" / "explore-rank0.jsonl").touch()
    for name, words in (
        ("none", "no such folder"),
        ("empty", "no traces here, which steps of GRPO write and those of SFT do not; nor is there a summary"),
        ("begun", "files of traces are empty"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["report", str(tmp_path / name)])
        assert words in str(ended.value) and "\n" not in str(ended.value)
    with pytest.raises(SystemExit, match="one run or two, not 3"):
        main(["report", "a", "b", "c"])


def test_slider_filter_and_a_time_in_a_browser(tmp_path: Path, opened: Callable[[Path], Any]) -> None:
    main(["report", str(write_run(tmp_path / "run"))])
    page = opened(tmp_path / "run" / "report.html")
    assert page.inner_text("#count") == "5 groups" and page.inner_text("#where") == "step 8"
    page.locator("#slider").fill("0")
    assert page.inner_text("#where") == "step 0"
    assert page.inner_text(".thought") == EVIL and page.locator(".thought script, .view b b, h3 b").count() == 0
    page.locator(".thought").get_by_role("button", name="10.0 to 18.0").click()
    until(page, "document.querySelector('.player').dataset.playing === 'true'")
    assert 10.0 <= float(page.locator(".player").first.get_attribute("data-time")) < 18.0
    page.select_option("#list", "best")
    assert page.inner_text("#count") == "2 groups"
    page.fill("#words", "query 1")
    assert page.inner_text("#count") == "1 group" and "step 9" in page.inner_text(".view")
    page.fill("#words", "no such words")
    assert "No group in this page fits the filters." in page.inner_text("#views")


def test_a_narrow_screen_needs_no_scrolling_sideways(tmp_path: Path, opened: Callable[[Path], Any]) -> None:
    main(["report", str(write_run(tmp_path / "run"))])
    page = opened(tmp_path / "run" / "report.html")
    for width in (320, 400, 1280):
        page.set_viewport_size({"width": width, "height": 860})
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert all(row.evaluate("row => row.scrollWidth <= row.clientWidth") for row in page.locator(".failure").all())


def test_two_runs_side_by_side(tmp_path: Path, opened: Callable[[Path], Any]) -> None:
    runs = [write_run(tmp_path / "a"), write_run(tmp_path / "b", reward=2.0)]
    main(["report", *map(str, runs)])
    page = opened(tmp_path / "a" / "report.html")
    assert page.locator(".view").count() == 2 and page.inner_text("#where") == "step 8 | step 8"
    assert page.locator(".line.dashed").count() > 0
