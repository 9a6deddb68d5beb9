"""The truth of a file of annotations becomes answers to learn."""

import json
from pathlib import Path

import pytest

from tests.builders import QUERY
from tvg_lightning.__main__ import main
from tvg_lightning.schema import AnswerFormat, Method
from tvg_lightning.traces import read_traces

WINDOWS = {"one": [[1.0, 2.5]], "two": [[1.0, 2.0], [4.0, 5.0]], "none": [], "unknown": None, "short": [[1.01, 1.04]]}


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    records = [
        {"id": name, "video": "a.mp4", "query": QUERY, "duration": 9.0, "windows": windows}
        for name, windows in WINDOWS.items()
    ]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("method", "texts"),
    [
        (
            "timelens",
            {
                "one": "The event happens in 1.0 - 2.5 seconds",
                "two": "The event happens in 1.0 - 2.0 seconds, 4.0 - 5.0 seconds",
            },
        ),
        ("timelens2", {"one": "[[1, 2.5]]", "two": "[[1, 2], [4, 5]]", "none": "[]", "short": "[[1.01, 1.04]]"}),
        ("ora_rl", {"one": "<answer>1 to 2.5</answer>", "short": "<answer>1.01 to 1.04</answer>"}),
    ],
)
def test_what_a_format_can_say(
    method: str, texts: dict[str, str], annotations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "targets.jsonl"
    main(["targets", "--annotations", str(annotations), "--out", str(out), "--method", method])
    traces = list(read_traces(out))
    assert {trace.sample_id: trace.text for trace in traces} == texts
    assert all(trace.follows_format for trace in traces)
    assert {trace.form for trace in traces} == {AnswerFormat(Method(method), thought=False)}
    assert f"{len(texts)} answers in" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="already"):
        main(["targets", "--annotations", str(annotations), "--out", str(out), "--method", method])


def test_nothing_to_say_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "unknown.jsonl"
    record = {"id": "a", "video": "a.mp4", "query": QUERY, "duration": 9.0, "windows": None}
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"none of 1 samples has windows that data\.method timelens can say"):
        main(["targets", "--annotations", str(path), "--out", str(tmp_path / "out.jsonl")])
