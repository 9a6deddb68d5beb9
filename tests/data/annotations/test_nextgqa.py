import json
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.data.annotations import nextgqa
from tvg_lightning.data.annotations.records import clean
from tvg_lightning.schema import Sample, Span

WINDOWS: dict[str, Any] = {
    "11": {"duration": 34, "location": {"3": [[-0.1, 5.8]], "7": [[1, 2], [30, 34.4]]}, "fps": 29.97},
    "22": {"duration": 20, "location": {"0": [[4, 6]]}, "fps": 25},
}
QUESTIONS = 'video_id,width,question,answer,qid\n22,640,"why, then",so,0\n11,640,who eats,goat,7\n11,640,who,goat,3\n'


def save(folder: Path, windows: Any = WINDOWS, questions: str = QUESTIONS) -> Path:
    (folder / "val.csv").write_text(questions)
    path = folder / "gsub_val.json"
    path.write_text(json.dumps(windows))
    return path


def test_windows_and_questions_are_joined(tmp_path: Path) -> None:
    path = save(tmp_path)
    result = clean(path, nextgqa.records(path))
    assert result.samples == (
        Sample("11_3", "11.mp4", 34.0, "who", (Span(0.0, 5.8),)),
        Sample("11_7", "11.mp4", 34.0, "who eats", (Span(1.0, 2.0), Span(30.0, 34.0))),
        Sample("22_0", "22.mp4", 20.0, "why, then", (Span(4.0, 6.0),)),
    )
    assert result.report.num_clipped == 2 and not result.report.refused


def test_videos_lie_where_the_map_says(tmp_path: Path) -> None:
    path = save(tmp_path)
    (tmp_path / nextgqa.VIDEO_FOLDERS).write_text('{"11": "1104/11"}')
    assert [record.video for record in nextgqa.records(path)] == ["1104/11.mp4", "1104/11.mp4", "22.mp4"]
    (tmp_path / nextgqa.VIDEO_FOLDERS).write_text("[]")
    with pytest.raises(ValueError, match=r"map_vid_vidorID\.json: must hold an object of video id to path"):
        list(nextgqa.records(path))


def test_the_questions_may_lie_elsewhere(tmp_path: Path) -> None:
    path = save(tmp_path)
    questions = (tmp_path / "val.csv").rename(tmp_path / "asked.csv")
    assert len(list(nextgqa.records(path, questions))) == 3
    with pytest.raises(ValueError, match=r"gsub_val\.json: needs val\.csv beside it"):
        list(nextgqa.records(path))


def test_the_list_form_has_the_same_ids(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    item = {"id": "11_3", "video": "1104/11.mp4", "question": "who", "options": ["(A) goat"], "duration": 34}
    path.write_text(json.dumps([{**item, "glue": [[1, 5.8], [7, 9]], "type": "CW", "answer": "(A)"}]))
    (sample,) = clean(path, nextgqa.records(path)).samples
    assert sample == Sample("11_3", "1104/11.mp4", 34.0, "who", (Span(1.0, 5.8), Span(7.0, 9.0)))
    with pytest.raises(ValueError, match=r"list\.json: this form has its questions in it"):
        nextgqa.records(path, tmp_path / "val.csv")


@pytest.mark.parametrize(
    ("windows", "questions", "message"),
    [
        (WINDOWS, QUESTIONS.replace("11,640,who,", "12,640,who,"), r"json:11_3: its question is not in .*one split"),
        ({"22": WINDOWS["22"]}, QUESTIONS, r"json: no windows for 2 questions of .*val\.csv, first 11_7"),
        (WINDOWS, QUESTIONS + "22,640,again,so,0\n", r"val\.csv:5: a second question 0 of video 22"),
        (WINDOWS, "video,question,qid\n", r"val\.csv:1: the columns video_id and question and qid are needed"),
        (WINDOWS, QUESTIONS + "22\n", r"val\.csv:5: question: the row ends before"),
        ({"22": {"duration": 20, "location": []}}, QUESTIONS, "json:22: location must be an object"),
        ({"22": {"duration": 20, "location": {"0": 4}}}, QUESTIONS, "json:22_0: location must be a list"),
        ({"22": {"timestamps": []}}, QUESTIONS, "json:22: another form: duration, location missing"),
        ([1], QUESTIONS, "json: another form"),
    ],
)
def test_what_does_not_fit_is_named(windows: Any, questions: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        list(nextgqa.records(save(tmp_path, windows, questions)))


def test_the_original_validation_split(shared: Path) -> None:
    path = shared / "data" / "annotations" / "nextgqa__doc-doc_NExT-GQA" / "gsub_val.json"
    found = list(nextgqa.records(path))
    report = clean(path, found).report
    assert len(found) == report.num_read == 3358 and report.num_clipped == 3 and not report.refused
    assert sum(len(record.windows) > 1 for record in found) == 339
    truths: dict[tuple[str, str], set[tuple[Span, ...]]] = {}
    for record in found:
        truths.setdefault((record.video, record.query), set()).add(record.windows)
    assert len(found) - len(truths) == 2 == sum(len(windows) > 1 for windows in truths.values())
    assert found[0].video == "1009/10001787725.mp4"
