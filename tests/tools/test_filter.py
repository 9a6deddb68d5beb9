"""The two rules as commands, on files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import GOOD_TRACE, QUERY, write_annotations, write_traces
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
    answers = {"a": (Span(1.0, 2.0),), "b": (Span(1.0, 1.5),), "c": None}
    traces = [replace(GOOD_TRACE, sample_id=name, windows=WINDOW, spans=spans) for name, spans in answers.items()]
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


def test_time_r1_reads_answers_without_a_thought(folder: Path) -> None:
    """A frame's number is a time only where the strict rule of the answers' own format reads it."""
    texts = {"a": "<answer>frame 1.0 to 2.0</answer>", "b": "1.0 to 1.5", "c": "1.0 to 1.5"}
    answers = folder / "predictions.jsonl"
    answers.write_text("".join(json.dumps({"qid": q, "text": text}) + "\n" for q, text in texts.items()))
    args = ["filter", "time_r1", f"--answers={answers}", f"--annotations={folder / 'train.jsonl'}"]
    main([*args, f"--out={folder / 'one.jsonl'}"])
    main([*args, f"--out={folder / 'two.jsonl'}", "--thought", "false"])
    assert (ids(folder / "one.jsonl"), ids(folder / "two.jsonl")) == (["b", "c"], ["a", "b", "c"])


def test_timelens_draws_by_duration(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "drawn.jsonl"
    args = ["--answers", str(folder / "teacher.jsonl"), "--annotations", str(folder / "train.jsonl"), "--out", str(out)]
    main(["filter", "timelens", *args, "--rule.num_samples", "20"])
    assert ids(out) == ["a", "b", "c"], "9 s each: there are three, and three are wanted of each bin"
    assert "3 samples: 3 can be drawn, 3 drawn into" in (said := capsys.readouterr().out)
    assert "(by duration, shortest first: 3 of 3, 0 of 0," in said


def test_timelens2_writes_weights(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two answers to each: IoU 1, 1/2 and 0; and one to a sample that is not there."""
    more = write_traces(folder / "more.jsonl", [*read_traces(folder / "teacher.jsonl"), replace(GOOD_TRACE)])
    args = ["--annotations", str(folder / "train.jsonl"), "--out", str(folder / "weighted.jsonl")]
    main(["filter", "timelens2", *args, "--answers", str(folder / "teacher.jsonl"), str(more)])
    weights = {sample.sample_id: sample.weight for sample in jsonl.read(folder / "weighted.jsonl").samples}
    assert weights == pytest.approx({"a": 0.0, "b": 0.25, "c": 1.0}, abs=1e-6)
    said = capsys.readouterr().out
    assert (
        "3 samples with weights from 1e-16 to 1" in said and "0 of them have fewer" in said and "; 1 answers to" in said
    )


def test_timelens2_reads_the_rollouts_of_the_data(folder: Path) -> None:
    """TimeLens2-93K brings them: the window, half of it, and prose; they stay in the file."""
    file, out = folder / "train.jsonl", folder / "weighted.jsonl"
    samples = jsonl.read(file).samples
    texts = ("[[1.0, 2.0]]", "[[1.0, 1.5]]", "It happens in 1 - 2 seconds.")
    jsonl.write(file, [replace(samples[0], rollouts=texts), *samples[1:]])
    main(["filter", "timelens2", "--annotations", str(file), "--out", str(out)])
    found = {sample.sample_id: sample for sample in jsonl.read(out).samples}
    assert {name: one.weight for name, one in found.items()} == pytest.approx(dict.fromkeys("abc", 0.25), abs=1e-6)
    assert found["a"].rollouts == texts
    more = ["--answers", str(folder / "teacher.jsonl"), "--out", str(folder / "both.jsonl")]
    main(["filter", "timelens2", "--annotations", str(file), *more])
    (first, *_) = jsonl.read(folder / "both.jsonl").samples
    assert first.weight == pytest.approx((1 - 2.5 / 4) ** 2, abs=1e-6), "and one of the trace's"


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


ANSWERS = {"a": [1.0, 2.0], "b": [1.0, 1.5], "c": [7.0, 8.0]}
FORMS = {
    "list": json.dumps(
        [{"qid": name, "text": f"<answer>{s} to {e}</answer>"} for name, (s, e) in ANSWERS.items()], indent=1
    ),
    "by video": "".join(
        json.dumps({"video": f"{n}.mp4", "query": QUERY, "pred": w}) + "\n" for n, w in ANSWERS.items()
    ),
    "one object": json.dumps(ANSWERS),
    "by position": "".join(json.dumps({"qid": f"mine_{k}", "pred": w}) + "\n" for k, w in enumerate(ANSWERS.values())),
}


@pytest.mark.parametrize("form", FORMS)
def test_time_r1_reads_what_score_reads(form: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers, out = folder / "answers.json", folder / "drawn.jsonl"
    answers.write_text(FORMS[form], encoding="utf-8")
    main(["filter", "time_r1", f"--answers={answers}", f"--annotations={folder / 'train.jsonl'}", f"--out={out}"])
    assert ids(out) == ["a", "b"]
    assert "3 answered, 1 of them with IoU 0, 2 drawn" in capsys.readouterr().out


def test_time_r1_takes_the_mean_of_several_answers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of one file or of two; those to other samples are counted."""
    (folder / "one.jsonl").write_text(
        '{"qid": "a", "pred": [5, 6]}\n{"qid": "a", "pred": [1, 2]}\n{"qid": "z", "pred": [1, 2]}\n'
    )
    (folder / "two.jsonl").write_text('{"qid": "b", "pred": [5, 6]}\n{"qid": "c", "pred": [6, 7]}\n')
    files = json.dumps([str(folder / "one.jsonl"), str(folder / "two.jsonl")])
    main(
        ["filter", "time_r1", f"--answers={files}", f"--annotations={folder / 'train.jsonl'}", f"--out={folder / 'o'}"]
    )
    assert ids(folder / "o") == ["a"]
    assert "3 answered, 2 of them with IoU 0, 1 drawn" in (said := capsys.readouterr().out) and "; 1 answers to" in said


@pytest.mark.parametrize("name", ["predictions_list.json", "predictions_by_video.jsonl"])
def test_time_r1_on_what_was_refused(name: str, shared: Path, tmp_path: Path) -> None:
    args = [f"--annotations={shared / 'faults' / 'train_distinct.jsonl'}", f"--out={tmp_path / 'drawn.jsonl'}"]
    main(["filter", "time_r1", f"--answers={shared / 'faults' / name}", *args])
    assert ids(tmp_path / "drawn.jsonl") == [f"s{k}" for k in range(8)]


def test_two_outputs_of_one_name_are_refused(folder: Path) -> None:
    args = ["--traces", str(folder / "teacher.jsonl"), "--annotations", str(folder / "train.jsonl")]
    with pytest.raises(SystemExit, match=r"new\.jsonl is to be written twice"):
        main(["filter", "tvg_r1", *args, f"--cold_start={folder / 'new.jsonl'}", f"--reinforce={folder / 'new.jsonl'}"])
    assert not (folder / "new.jsonl").exists()
