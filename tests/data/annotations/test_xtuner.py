import json
import re
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.data.annotations import xtuner
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.schema import Sample, Span

FILE = {"url": "a.mp4", "image_wh": [426, 320], "origin_video_length": 14400, "origin_fps": 30.0}
FRAMES = {"url": "didemo/b/", "processed_video_length": 722, "processed_fps": 4.0}


def first(words: str, video: Any = FILE) -> dict[str, Any]:
    parts = [{"type": "video_url", "video_url": video}, {"type": "text", "text": f"<VIDEO_CONTEXT>\n{words}"}]
    return {"role": "user", "content": parts}


def user(words: str) -> dict[str, Any]:
    return {"role": "user", "content": words}


def answer(words: str) -> dict[str, Any]:
    return {"role": "assistant", "content": words}


def save(folder: Path, *dialogs: list[Any]) -> Path:
    path = folder / "dialogs.jsonl"
    path.write_text("".join(json.dumps({"id": k, "messages": messages}) + "\n" for k, messages in enumerate(dialogs)))
    return path


def test_quoted_queries_over_several_turns_about_one_video(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        [
            {"role": "system", "content": "be brief"},
            first('Find the part that answers: "where is the "red" cup?".\nAnswer as `[[start, end]]` in seconds.'),
            answer("[[17.3, 27.3]]"),
            user('When is "what did I\n take?" answered?'),
            answer("[[470.0, 481.0]]"),
        ],
    )
    result = clean(path, xtuner.records(path))
    assert result.samples == (
        Sample("dialogs:0_0", "a.mp4", 480.0, 'where is the "red" cup?', (Span(17.3, 27.3),)),
        Sample("dialogs:0_1", "a.mp4", 480.0, "what did I take?", (Span(470.0, 480.0),)),
    )
    assert result.report.clipped == (("1 message 4", "(470.0, 481.0) cut to (470.0, 480.0)"),)


def test_questions_that_are_the_query_and_folders_of_frames(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        [
            first('When does he say "no"?\nAnswer strictly as: [[MM:SS, MM:SS]].', FRAMES),
            answer("[[01:10, 01:15]]"),
            user("Show the banner.\nAnswer as: 'Segments: [start]s to [end]s'."),
            answer("Segments: 1.0s to 2.5s, and 7.0s to 9.0s"),
            user("Where is\nthe dog?"),
            answer("I cannot tell."),
        ],
        [first("A cat sits.\nAnswer as '[start]-[end]'.", FRAMES), answer("3.0-4.5")],
    )
    result = clean(path, xtuner.records(path))
    assert [(sample.query, sample.windows) for sample in result.samples] == [
        ('When does he say "no"?', (Span(70.0, 75.0),)),
        ("Show the banner.", (Span(1.0, 2.5), Span(7.0, 9.0))),
        ("Where is the dog?", None),
        ("A cat sits.", (Span(3.0, 4.5),)),
    ]
    assert {(sample.video, sample.duration_s) for sample in result.samples} == {("didemo/b.mp4", 180.5)}
    assert result.report.noted == (("1 message 5", "the answer states no window: the truth is unknown"),)
    assert sum("folder of frames" in why for _, why in result.report.fixed) == 4


def test_a_dialog_id_that_comes_again_is_numbered(tmp_path: Path) -> None:
    path = save(tmp_path, [first("q"), answer("1-2")])
    path.write_text(path.read_text() * 2)
    assert [record.sample_id for record in xtuner.records(path)] == ["dialogs:0_0", "dialogs:0_0#2"]


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ("no list", "2: messages must be a list"),
        ([answer("1-2")], "2 message 0: an answer stands before any question"),
        ([user("q"), answer("1-2")], "2 message 1: an answer stands before any question"),
        ([first("q"), answer("1-2"), answer("3-4")], "2 message 2: an answer stands before any question"),
        ([first("q"), {"role": "assistant"}], "2 message 1: another form: content missing"),
        ([first("q"), answer("1-2"), {"role": "user", "content": 3}], "2 message 2: content must be a text"),
        ([first("q", {"url": "a.mp4"}), answer("1-2")], "2 message 1: processed_fps must be a number"),
        ([first("q", {**FILE, "origin_fps": 0}), answer("1-2")], "2 message 1: origin_fps must be positive"),
        ([first("q", {**FILE, "url": None}), answer("1-2")], "2 message 1: url must be a text"),
    ],
)
def test_a_broken_dialog_is_named(messages: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"dialogs\.jsonl:{message}"):
        list(xtuner.records(save(tmp_path, [first("q"), answer("1-2")], messages)))


def seconds(answer: str) -> list[float]:
    """The numbers of an answer read without the project's parser: a clock or a plain number each."""
    found = []
    for time in re.findall(r"\d+(?:[:.]\d+)*", answer):
        total_s = 0.0
        for part in time.split(":"):
            total_s = 60 * total_s + float(part)
        found.append(total_s)
    return found


@pytest.mark.parametrize(
    "file",
    [
        "annotations/ego4d_nlq_xtuner__MCG-NJU_TimeLens2/ego4d_nlq_xtuner.jsonl",
        "predictions/text_answers_timelens/dialogs_000_599.jsonl",
    ],
)
def test_the_originals_in_all_their_templates(file: str, shared: Path) -> None:
    path = shared / "data" / file
    dialogs = [json.loads(line)["messages"] for line in path.read_text().splitlines()]
    answers = [turn["content"] for turns in dialogs for turn in turns if turn["role"] == "assistant"]
    found = list(xtuner.records(path))
    assert [[*record.windows[0]] for record in found if record.windows] == [seconds(answer) for answer in answers]
    assert all("VIDEO_CONTEXT" not in record.query and "[" not in record.query for record in found)
    assert all('"' not in record.query for record in found) or "ego4d" not in file
    result = clean(path, found)
    assert len(result.samples) == len(found) and not any(sample.windows is None for sample in result.samples)
    late = sum(w.end_s > r.duration_s + 0.05 for r in found if r.duration_s for w in r.windows or ())
    if len(dialogs) == 1270:  # the whole file
        assert (len(found), late) == (13_847, 105)
