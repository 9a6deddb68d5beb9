"""The command as people call it: one JSON object or a table on stdout, the rest on stderr."""

import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning import __main__
from tvg_lightning.tools.score import main

TRUTH = [
    {"id": "x", "video": "a.mp4", "query": "one", "windows": [[0, 10]], "duration": 30},
    {"id": "y", "video": "a.mp4", "query": "two", "windows": [[0, 10], [20, 25]], "duration": 30},
    {"id": "z", "video": "a.mp4", "query": "three", "windows": [[0, 10]], "duration": 30},
    {"id": "hidden", "video": "a.mp4", "query": "four", "windows": None, "duration": 30},
]
ANSWERS: list[dict[str, Any]] = [
    {"qid": "x", "text": "<think>…</think><answer>0 to 20</answer>"},  # 0.5
    {"qid": "y", "pred_relevant_windows": [[21, 25, 0.9]]},  # 0.8
    {"qid": "who", "pred": [0, 1]},
]


def save(path: Path, lines: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return save(tmp_path / "truth.jsonl", TRUTH), save(tmp_path / "answers.jsonl", ANSWERS)


def arguments(files: tuple[Path, Path], *more: str) -> list[str]:
    return ["score", "--benchmark", "jsonl", "--annotations", str(files[0]), "--predictions", str(files[1]), *more]


COUNTS = {
    "num_queries": 3,
    "num_missing": 1,
    "num_unusable": 0,
    "num_unknown": 1,
    "num_repeated": 0,
    "num_other_query": 0,
    "num_without_truth": 1,
}


@pytest.mark.parametrize(
    ("flags", "strict", "at_half"),
    [
        (["--json"], False, 200 / 3),
        (["--json", "--strict"], True, 100 / 3),
        (["--strict", "true", "--json=true"], True, 100 / 3),
    ],
)
def test_the_command_of_the_readme(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], flags: list[str], strict: bool, at_half: float
) -> None:
    __main__.main(arguments(files, *flags))
    (line,) = capsys.readouterr().out.splitlines()
    metrics = {"R1@0.3": 200 / 3, "R1@0.5": at_half, "R1@0.7": 100 / 3, "mIoU": 130 / 3}
    assert json.loads(line) == pytest.approx({"benchmark": "jsonl", "strict": strict, **metrics, **COUNTS})


def test_flags_before_the_end_of_the_line(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tvg_lightning", "score", "--json", "--strict", *arguments(files)[1:]])
    __main__.main()


def test_the_table(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    main("jsonl", *files)
    assert capsys.readouterr().out == (
        "  R1@0.3  R1@0.5  R1@0.7    mIoU\n"
        "   66.67   66.67   33.33   43.33\n"
        "3 queries, 1 missing, 1 unknown, 1 without truth\n"
    )
    assert caplog.messages == [
        "3 predictions, read from text (1), pred_relevant_windows (1), pred (1)",
        f"1 predictions are for no record, such as {files[1]}:3 ('who')",
    ]


def test_what_fits_badly_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    truth = save(tmp_path / "truth.jsonl", TRUTH[:2])
    answers = [{"qid": "x", "pred": [0, 1], "query": "else", "answer": "5 to 6"}, {"qid": "y", "pred": [0, 1]}]
    main("jsonl", truth, save(tmp_path / "other.jsonl", answers))
    assert caplog.messages == [
        "2 predictions, read from pred (2), not from answer (1)",
        "1 predictions have a record's id and another sentence",
    ]
    caplog.clear()
    main("jsonl", truth, save(tmp_path / "counted.jsonl", [{"qid": k, "pred": [0, 1]} for k in (0, 1)]))
    assert caplog.messages[0] == "no id is that of a record: the ids were taken as positions in the annotations, from 0"


def test_every_query_in_a_file(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out" / "each.jsonl"
    main("jsonl", *files, per_query=out)
    first, second, third = (json.loads(line) for line in out.read_text(encoding="utf-8").splitlines())
    assert first == {
        "qid": "x",
        "video": "a.mp4",
        "query": "one",
        "prediction": [0, 20],
        "window": [0, 10],
        "iou": 0.5,
        "location": f"{files[1]}:1",
    }
    assert (second["window"], second["iou"]) == ([20, 25], 0.8)
    assert (third["prediction"], third["window"], third["iou"], third["location"]) == (None, None, 0, None)
    with pytest.raises(ValueError, match=r"each\.jsonl exists already: remove it or choose another name"):
        main("jsonl", *files, per_query=out)


def test_a_method_reads_its_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = save(tmp_path / "truth.jsonl", TRUTH[:1])
    answers = [{"qid": "x", "text": "<think>t</think><time>[0, 10]</time> and not <time>[11, 12]</time>"}]
    main("jsonl", truth, save(tmp_path / "a.jsonl", answers), method="tvg_r1", json=True)
    assert json.loads(capsys.readouterr().out)["mIoU"] == 100


def test_answers_without_a_thought_are_read_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The strict rule reads an answer in its own format, else the tolerant one, to which a frame number is no time."""
    truth = save(tmp_path / "truth.jsonl", TRUTH[:1])
    answers = save(tmp_path / "a.jsonl", [{"qid": "x", "text": "<answer>frame 0 to 10</answer>"}])
    found = {}
    for thought in ("null", "false"):
        args = ["--benchmark=jsonl", f"--annotations={truth}", f"--predictions={answers}", f"--thought={thought}"]
        __main__.main(["score", *args, "--json"])
        found[thought] = json.loads(capsys.readouterr().out)["mIoU"]
    assert found == {"null": 0.0, "false": 100.0}


def test_a_broken_line_is_one_error(files: tuple[Path, Path]) -> None:
    save(files[1], [*ANSWERS, {"qid": "z", "pred": "x", "query": [3]}])
    with pytest.raises(SystemExit, match=r"error: .*answers\.jsonl:4: query must be a text or a whole number") as error:
        __main__.main(arguments(files, "--json"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("extra", [{}, {"query": "a cat \ud83d jumps"}])
def test_half_an_emoji_costs_no_table(
    extra: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = {"qid": 1, "query": "a cat \ud83d jumps", "vid": "a", "duration": 2, "relevant_windows": [[0, 1]]}
    annotations = save(tmp_path / "qvh.jsonl", [truth])
    predictions = save(tmp_path / "preds.jsonl", [{"qid": 1, "pred": [0, 1], **extra}])
    per_query = tmp_path / "new" / "each.jsonl"
    args = [f"--annotations={annotations}", f"--predictions={predictions}", f"--per_query={per_query}"]
    __main__.main(["score", "--benchmark=qvhighlights", *args])
    assert "100.00" in (said := capsys.readouterr().out) and "other query" not in said
    assert json.loads(per_query.read_text(encoding="utf-8"))["query"] == "a cat � jumps"


def test_half_an_emoji_in_a_benchmark(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faults = shared / "faults"
    files = [
        f"--annotations={faults / 'surrogate_query_qvh.jsonl'}",
        f"--predictions={faults / 'surrogate_predictions.jsonl'}",
    ]
    __main__.main(["score", "--benchmark=qvhighlights", *files, f"--per_query={tmp_path / 'each.jsonl'}"])
    assert "2 queries" in capsys.readouterr().out
    assert len((tmp_path / "each.jsonl").read_text(encoding="utf-8").splitlines()) == 2


OWN_WORDS = [
    {"qid": "x", "text": "The event happens in 0.0 - 9.5 seconds.", "span": [0, 1]},  # IoU 0.95; in whole seconds 1
    {"qid": "y", "text": "From 20.5s to 24.5s"},  # 0.8 with the second window; cut to 20 to 24 it is 0.8, too
    {"qid": "z", "text": "It is not there."},
]


@pytest.mark.parametrize(
    ("flags", "label", "miou"),
    [
        (["--preset", "timelens"], "timelens", 100 * (0.95 + 0.8) / 3),
        (["--preset", "timelens", "--as_published"], "timelens_as_published", 100 * (1.0 + 0.8) / 3),
        (["--preset", "timelens2", "--as_published"], "timelens2_as_published", 100 * (0.95 + 0.8) / 2),
    ],
)
def test_a_preset_stands_beside_its_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], label: str, miou: float
) -> None:
    files = save(tmp_path / "truth.jsonl", TRUTH), save(tmp_path / "answers.jsonl", OWN_WORDS)
    __main__.main(arguments(files, *flags))
    head, numbers, told = capsys.readouterr().out.splitlines()
    assert numbers.startswith(f"{label} ") and head.startswith(" " * len(label)) and told.startswith("3 queries")
    assert float(numbers.split()[-1]) == pytest.approx(miou, abs=0.005)
    __main__.main(arguments(files, *flags, "--json"))
    said = json.loads(capsys.readouterr().out)
    assert said["mIoU"] == pytest.approx(miou)
    assert (said["preset"], said["as_published"]) == (flags[1], "--as_published" in flags)


def test_a_preset_has_its_own_strictness_and_thresholds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = save(tmp_path / "truth.jsonl", TRUTH[:1]), save(tmp_path / "answers.jsonl", ANSWERS[:1])  # IoU 0.5
    said = []
    for flags in ([], ["--as_published"], ["--strict"]):
        __main__.main(arguments(files, "--preset", "time_r1", *flags, "--json"))
        said.append(json.loads(capsys.readouterr().out))
    assert [(one["R1@0.5"], one["strict"]) for one in said] == [(100, False), (0, True), (0, True)]
    __main__.main(arguments(files, "--preset", "museg", "--json"))
    assert "R1@0.1" in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ["--preset", "timelens", "--method", "tvg_r1"],
            "preset timelens reads answers in the format of method timelens",
        ),
        (["--preset", "timelens", "--thought", "true"], "preset timelens reads answers without a thought"),
        (["--as_published"], "as_published: this is the way of a preset: name one"),
    ],
)
def test_what_contradicts_a_preset(files: tuple[Path, Path], flags: list[str], words: str) -> None:
    with pytest.raises(SystemExit, match=f"error: {words}"):
        __main__.main(arguments(files, *flags))
