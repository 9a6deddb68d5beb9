import json
import math
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.files import plain_text
from tvg_lightning.schema import Answer, AnswerFormat, Method, Sample, Span, Task
from tvg_lightning.traces import Trace, TraceWriter, read_traces, write_traces

TRACE = Trace(
    stage="grpo",
    step=3,
    epoch=0,
    sample_id="s1",
    video="a.mp4",
    task=Task.TVG,
    query="the red circle rises",
    windows=(Span(1.0, 2.0), Span(4.0, 5.5)),
    duration_s=8.0,
    text="<think>… <timestamp>1.0 to 2.5</timestamp></think><answer>1.0 to 2.0</answer>",
    follows_format=True,
    anchors=(Span(1.0, 2.5),),
    spans=(Span(1.0, 2.0),),
    is_set=False,
    anchor_ious=(0.5,),
    answer_iou=1.0,
    rewards={"format": 1.0, "soft_iou": 1.0},
    reward=2.0,
    advantage=-0.25,
    num_tokens=40,
    group=0,
    rollout=1,
)


def at(step: int, text: str = "") -> Trace:
    return replace(TRACE, step=step, text=text)


def write(path: Path, *steps: int) -> None:
    with TraceWriter(path) as writer:
        writer.write(at(step) for step in steps)


def steps_in(path: Path) -> list[int]:
    return [trace.step for trace in read_traces(path)]


def test_a_trace_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "traces.jsonl"
    bare = replace(
        TRACE, task=Task.VERB_COMPLETION, windows=None, anchors=(), spans=None, anchor_ious=(), answer_iou=None
    )
    with TraceWriter(path) as writer:
        writer.write([TRACE, bare])
    assert list(read_traces(path)) == [TRACE, bare]


def test_lines_of_earlier_versions_can_be_read(tmp_path: Path) -> None:
    """They lack what was not measured then; a number is kept."""
    record = {**asdict(TRACE), "frame_dependence": 0.25}
    old = {key: value for key, value in record.items() if key != "frame_dependence"}
    path = tmp_path / "traces.jsonl"
    path.write_text(f"{json.dumps(old)}\n{json.dumps(record)}\n", encoding="utf-8")
    assert list(read_traces(path)) == [TRACE, replace(TRACE, frame_dependence=0.25)]


def test_what_a_trace_tells_since_later_comes_back_too_and_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    full = replace(TRACE, truncated=True, last_frame_s=7.5, form=AnswerFormat(Method.TVG_R1, thought=False))
    with TraceWriter(path) as writer:
        writer.write([full, TRACE])
    assert list(read_traces(path)) == [full, TRACE]
    old, _ = (json.loads(line) for line in path.read_text().splitlines())
    for key in ("truncated", "last_frame_s", "form"):
        del old[key]
    path.write_text(json.dumps(old) + "\n")
    assert list(read_traces(path)) == [TRACE]


def test_one_line_a_trace_that_any_json_reader_understands(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    with TraceWriter(path) as writer:
        writer.write([at(1, text="two\nlines\u2028and 圆")])
    (line,) = path.read_text(encoding="ascii").splitlines()
    record = json.loads(line)
    assert record["windows"] == [[1.0, 2.0], [4.0, 5.5]]
    assert record["task"] == "tvg"
    assert record["text"] == "two\nlines\u2028and 圆"


# Lone surrogates too (st.text leaves them out unless asked): nothing that a model can say may stop a run.
@given(text=st.text(st.characters(), max_size=40))
def test_any_text_survives(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("traces") / "traces.jsonl"
    with TraceWriter(path) as writer:
        writer.write([at(1, text=text)])
    assert [trace.text for trace in read_traces(path)] == [plain_text(text)]


def test_a_step_is_on_disk_before_the_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    writer = TraceWriter(path)
    writer.write([at(1), at(1)])
    assert steps_in(path) == [1, 1]
    writer.close()
    writer.close()


def test_a_second_writer_appends(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    write(path, 1)
    write(path, 2)
    assert steps_in(path) == [1, 2]


def test_truncate_drops_later_steps_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    write(path, 1, 2, 2, 3, 4)
    with TraceWriter(path) as writer:
        assert writer.truncate_after(2) == 2
        writer.write([at(3)])
    assert steps_in(path) == [1, 2, 2, 3]
    assert os.listdir(tmp_path) == ["traces.jsonl"]


def test_truncate_everything_and_nothing(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    write(path, 1, 2)
    with TraceWriter(path) as writer:
        assert writer.truncate_after(9) == 0
        assert steps_in(path) == [1, 2]
        assert writer.truncate_after(0) == 2
        assert steps_in(path) == []


def test_a_crash_while_truncating_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "traces.jsonl"
    write(path, 1, 2)

    def fail(*_: object) -> None:
        raise OSError("power cut")

    with TraceWriter(path) as writer:
        monkeypatch.setattr("tvg_lightning.files.os.replace", fail)
        with pytest.raises(OSError, match="power cut"):
            writer.truncate_after(1)
    assert steps_in(path) == [1, 2]
    assert os.listdir(tmp_path) == ["traces.jsonl"]


def test_every_torn_tail_is_passed_over_and_repaired(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    write(path, 1, 2)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert steps_in(path) == [1]
        write(path, 7)
        assert steps_in(path) == [1, 7]


def test_a_whole_last_line_without_its_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    write(path, 1, 2)
    path.write_bytes(path.read_bytes()[:-1])
    assert steps_in(path) == [1, 2]
    write(path, 3)
    assert steps_in(path) == [1, 2, 3]


def test_damage_in_the_middle_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    write(path, 1, 2)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\n{oops\n", 1))
    with pytest.raises(ValueError, match=r"traces\.jsonl:2: not JSON"):
        list(read_traces(path))
    with TraceWriter(path) as writer:
        with pytest.raises(ValueError, match=r"traces\.jsonl:2"):
            writer.truncate_after(1)
        writer.write([at(3)])  # the file is as it was and the writer still writes
    assert path.read_bytes().count(b"\n") == 4


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("step", "3", "step: expected a whole number"),
        ("step", True, "step: expected a whole number"),
        ("duration_s", None, "duration_s: expected a number"),
        ("reward", 10**400, "reward: "),
        ("follows_format", 1, "follows_format: expected true or false"),
        ("text", 5, "text: expected text"),
        ("task", "dancing", "task: 'dancing' is not a valid Task"),
        ("windows", [[1.0]], r"windows: expected \[start, end\]"),
        ("windows", 3, "windows: expected a list"),
        ("spans", [[1.0, "2"]], "spans: expected a number"),
        ("rewards", [1.0], "rewards: expected an object"),
        ("truncated", 1, "truncated: expected true or false"),
        ("last_frame_s", "2", "last_frame_s: expected a number"),
        ("form", "tar_tvg", "form: expected an object with method and thought"),
        ("form", {"method": "dance", "thought": None}, "form: 'dance' is not a valid Method"),
    ],
)
def test_a_wrong_value_names_file_line_and_key(tmp_path: Path, key: str, value: object, fault: str) -> None:
    path = tmp_path / "traces.jsonl"
    write(path, 1)
    record = json.loads(path.read_text()) | {key: value}
    path.write_text("\n" + json.dumps(record) + "\n")
    with pytest.raises(ValueError, match=r"traces\.jsonl:2: " + fault):
        list(read_traces(path))


def test_missing_and_unknown_keys_are_named(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    write(path, 1)
    record = json.loads(path.read_text())
    del record["group"]
    path.write_text(json.dumps(record | {"colour": "red"}) + "\n")
    with pytest.raises(ValueError, match=r"traces\.jsonl:1: .*missing \['group'\], unknown \['colour'\]"):
        list(read_traces(path))
    path.write_text("[]\n")
    with pytest.raises(ValueError, match=r"traces\.jsonl:1: expected an object"):
        list(read_traces(path))


def test_nan_is_our_fault_and_raises_before_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    with TraceWriter(path) as writer:
        with pytest.raises(ValueError, match="JSON compliant"):
            writer.write([at(1), replace(TRACE, reward=float("nan"))])
        writer.write([at(2)])
    assert steps_in(path) == [2]


def changed(**changes: object) -> str:
    """A line of a file of traces, with some of its values changed."""
    return json.dumps({**asdict(at(1)), **changes}) + "\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (changed(reward=math.nan), r"reward: expected a finite number, got nan"),
        (changed(duration_s=math.inf), r"duration_s: expected a finite number, got inf"),
        (changed(windows=[[0.0, math.nan]]), r"windows: expected a finite number, got nan"),
        (changed(spans=[[-math.inf, 1.0]]), r"spans: expected a finite number, got -inf"),
        (changed(rewards={"a": math.nan}), r"rewards: expected a finite number, got nan"),
        (changed(anchors=0).replace(": 0,", ": " + "[" * 100_000 + "]" * 100_000 + ","), "JSON nested too deep"),
        (changed(sample_id="\ud83d"), r"sample_id: the text '\\ud83d' holds what is no text"),
        (changed(video="a\0.mp4"), r"video: the text .* holds what is no text"),
        (changed(step=2).replace('"step": 2', '"step": 2, "step": 2'), "the key 'step' stands twice"),
    ],
)
def test_what_no_run_writes_is_refused_with_its_line(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    write(path, 1)
    with path.open("a") as file:
        file.write(line)
    with pytest.raises(ValueError, match=rf"traces\.jsonl:2: (not JSON \()?{said}"):
        list(read_traces(path))


def test_half_an_emoji_in_a_text_is_fixed_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "traces.jsonl"
    write(path, 1)
    with path.open("a") as file:
        file.write(changed(text="so \ud83d") + changed(query="a\0"))
    assert [(t.text, t.query) for t in read_traces(path)][1:] == [("so �", at(1).query), (at(1).text, "a�")]
    assert f"{path}: 2 traces fixed, the first at line 2: " in caplog.text


def test_a_trace_of_a_completion_holds_text() -> None:
    sample = Sample("s", "a.mp4", 9.0, "q", ())
    more = {"stage": "a", "step": 0, "epoch": 0, "rewards": {}, "reward": 0.0, "advantage": 0.0, "num_tokens": 1}
    trace = Trace.of(sample, Task.TVG, Answer(False, None), "so\0", **more, group=0, rollout=0)
    assert trace.text == "so�"


def test_a_file_of_traces_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "traces.jsonl"
    write_traces(path, [at(1), at(2)])
    assert steps_in(path) == [1, 2]
    with pytest.raises(ValueError, match="JSON compliant"):
        write_traces(path, [at(3), replace(at(4), reward=math.nan)])
    assert steps_in(path) == [1, 2] and os.listdir(path.parent) == ["traces.jsonl"]
