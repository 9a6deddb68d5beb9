"""The command on hand-made runs: the page, what is refused, and the page in a browser, where there is one."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.browser import until
from tests.builders import GOOD_TRACE, write_traces
from tests.tools.test_ground import data_of
from tvg_lightning.__main__ import main
from tvg_lightning.machine import Machine, record_start

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


def test_what_each_start_ran_with(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    main(["report", str(run)])
    assert "has recorded no versions and no machine" in (run / "report.html").read_text(encoding="utf-8")
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


def test_a_torn_last_line_is_said(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    with (run / "traces" / "explore-rank0.jsonl").open("a") as file:
        file.write('{"stage": "expl')
    main(["report", str(run), "--out", str(tmp_path / "page.html")])
    assert "1 torn last line of a file of traces skipped." in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "begun" / "traces").mkdir(parents=True)
    (tmp_path / "begun" / "traces" / "explore-rank0.jsonl").touch()
    for name, words in (
        ("none", "no such folder"),
        ("empty", "no traces here"),
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


def test_two_runs_side_by_side(tmp_path: Path, opened: Callable[[Path], Any]) -> None:
    runs = [write_run(tmp_path / "a"), write_run(tmp_path / "b", reward=2.0)]
    main(["report", *map(str, runs)])
    page = opened(tmp_path / "a" / "report.html")
    assert page.locator(".view").count() == 2 and page.inner_text("#where") == "step 8 | step 8"
    assert page.locator(".line.dashed").count() > 0
