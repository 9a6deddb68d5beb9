"""The two rules as commands, on files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import GOOD_TRACE, write_annotations, write_traces
from tvg_lightning.__main__ import main
from tvg_lightning.data.annotations import jsonl
from tvg_lightning.schema import Span
from tvg_lightning.traces import read_traces

WINDOW = (Span(1.0, 2.0),)


def ids(path: Path) -> list[str]:
    return [sample.sample_id for sample in jsonl.read(path).samples]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_annotations(tmp_path / "train.jsonl", ["a", "b", "c"])
    answers = {"a": Span(1.0, 2.0), "b": Span(1.0, 1.5), "c": None}
    traces = [replace(GOOD_TRACE, sample_id=name, windows=WINDOW, answer=span) for name, span in answers.items()]
    write_traces(tmp_path / "teacher.jsonl", traces)
    return tmp_path


def test_tvg_r1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["--traces", str(folder / "teacher.jsonl"), "--annotations", str(folder / "train.jsonl")]
    outputs = ["--cold_start", str(folder / "cold.jsonl"), "--reinforce", str(folder / "rl.jsonl")]
    main(["filter", "tvg_r1", *args, *outputs])
    assert [trace.sample_id for trace in read_traces(folder / "cold.jsonl")] == ["a"]
    assert ids(folder / "rl.jsonl") == ["b"]
    assert "3 samples: 1 traces for the cold start" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="exists already"):
        main(["filter", "tvg_r1", *args, *outputs])


@pytest.mark.parametrize("form", ["traces", "predictions"])
def test_time_r1_from_traces_and_from_predictions(form: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = folder / "teacher.jsonl"
    if form == "predictions":
        answers = folder / "predictions-rank0.jsonl"
        lines = [{"qid": "a", "span": [1.0, 2.0]}, {"qid": "b", "span": [1.0, 1.5]}, {"qid": "c", "span": None}]
        answers.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    out = folder / "drawn.jsonl"
    args = ["--answers", str(answers), "--annotations", str(folder / "train.jsonl"), "--out", str(out)]
    main(["filter", "time_r1", *args])
    assert ids(out) == ["a", "b"]
    assert "3 answered, 1 of them with IoU 0, 2 drawn" in capsys.readouterr().out


@pytest.mark.parametrize("rule", ["tvg_r1", "time_r1"])
def test_videos_outside_of_the_folder_are_refused_unless_allowed(rule: str, folder: Path) -> None:
    lines = (folder / "train.jsonl").read_text(encoding="utf-8").replace('"b.mp4"', '"/b.mp4"')
    (folder / "train.jsonl").write_text(lines, encoding="utf-8")
    outs = ["--cold_start", str(folder / "cold.jsonl"), "--reinforce"] if rule == "tvg_r1" else ["--out"]
    answers = ["--traces" if rule == "tvg_r1" else "--answers", str(folder / "teacher.jsonl")]
    args = ["filter", rule, *answers, "--annotations", str(folder / "train.jsonl"), *outs, str(folder / "new.jsonl")]
    with pytest.raises(SystemExit, match=r"train\.jsonl:2: the video '/b\.mp4'"):
        main(args)
    main([*args, "--videos_outside", "true"])
    assert '"/b.mp4"' in (folder / "new.jsonl").read_text(encoding="utf-8")


def test_nothing_left_is_said(folder: Path) -> None:
    traces = write_traces(folder / "other.jsonl", [replace(GOOD_TRACE, sample_id="elsewhere")])
    args = ["--answers", str(traces), "--annotations", str(folder / "train.jsonl")]
    with pytest.raises(SystemExit, match="nothing is left"):
        main(["filter", "time_r1", *args, "--out", str(folder / "out.jsonl")])
