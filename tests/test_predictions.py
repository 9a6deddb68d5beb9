"""Every form of a line and of a file gives the span that was answered; what is none is refused with its location."""

import json
from pathlib import Path
from typing import Any

import pytest

from tvg_lightning.predictions import Prediction, read_predictions
from tvg_lightning.schema import Answer, AnswerFormat, Method, Span

TIME_R1 = AnswerFormat(Method.TIME_R1)

QUESTION = {"video": "a.mp4", "query": "the door opens"}


def save(folder: Path, *lines: Any, name: str = "preds.jsonl") -> Path:
    path = folder / name
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines), encoding="utf-8")
    return path


def read(path: Path) -> list[Prediction]:
    return read_predictions(path, TIME_R1)


def read_one(folder: Path, **line: Any) -> Prediction:
    # two lines, for a single one is a whole JSON value
    first, _ = read(save(folder, {"qid": 1, **line}, {"qid": 2, "pred": [0, 1]}))
    return first


@pytest.mark.parametrize(
    ("line", "key", "span"),
    [
        ({"pred_relevant_windows": [[0, 70, 0.9], [78, 146, 0.4]]}, "pred_relevant_windows", (0, 70)),
        ({"pred_relevant_windows": [[0, 70, 0.1], [78, 146, 0.9]]}, "pred_relevant_windows", (0, 70)),
        ({"pred_relevant_windows": []}, "pred_relevant_windows", None),
        ({"pred_relevant_windows": [[5, 5, 0.9], [1, 2, 0.1]]}, "pred_relevant_windows", None),
        ({"pred": [1.5, 4]}, "pred", (1.5, 4)),
        ({"pred": [[1.5, 4], [7, 8]]}, "pred", (1.5, 4)),
        ({"pred": [4, 1.5]}, "pred", None),
        ({"pred": [-3, 1e6]}, "pred", (-3, 1e6)),
        ({"pred": [None, None], "output_text": "1 to 2"}, "pred", None),
        ({"pred": None}, "pred", None),
        ({"pred": "<answer>3 to 4</answer>"}, "pred", (3, 4)),
        ({"text": "<think>1 to 2</think><answer>3.5 to 4</answer>"}, "text", (3.5, 4)),
        ({"text": "It happens in 64.0 - 72.0 seconds."}, "text", (64, 72)),
        ({"text": "I cannot see it."}, "text", None),
        ({"text": ""}, "text", None),
        ({"text": "3 to 4", "span": [3.5, 4]}, "span", (3.5, 4)),
        ({"text": "3 to 4", "span": None}, "span", None),
        ({"response": "from 3s to 4s", "span": [7, 8]}, "response", (3, 4)),
        ({"timestamp": [1, 2]}, "timestamp", (1, 2)),
    ],
)
def test_what_a_line_answers(tmp_path: Path, line: dict[str, Any], key: str, span: tuple[float, float] | None) -> None:
    prediction = read_one(tmp_path, **line)
    assert (prediction.key, prediction.answer.span) == (key, Span(*span) if span else None)


def test_nan_and_infinity_are_unusable(tmp_path: Path) -> None:
    path = save(tmp_path, '{"qid": 1, "pred": [NaN, 2]}', '{"qid": 2, "pred": [0, Infinity]}')
    assert [prediction.answer.span for prediction in read(path)] == [None, None]


def test_the_truth_in_a_published_file_is_not_its_prediction(tmp_path: Path) -> None:
    prediction = read_one(tmp_path, pred=[0.0, 3.0], timestamp=[1.0, 4.0], answer="1 to 4", difficulty=50.0)
    assert prediction.answer.span == Span(0.0, 3.0)
    assert (prediction.key, prediction.keys_unread) == ("pred", ("timestamp", "answer"))


def test_which_question_a_line_answers(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        {"qid": 7, "pred": [0, 1]},
        "",
        {"id": "x/1", "qid": None, "pred": [0, 1]},
        {"vid": "a", "sentence": "Q.", "pred": [0, 1]},
    )
    found = [(p.where(), p.qid, p.video, p.query) for p in read(path)]
    assert found == [(f"{path}:1", "7", None, None), (f"{path}:3", "x/1", None, None), (f"{path}:4", None, "a", "Q.")]


LIST = [{"qid": 1, "pred": [0, 1]}, {"qid": 2, "pred": [1, 2]}]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (LIST, [("1", None, "item 0"), ("2", None, "item 1")]),
        (LIST[0], [("1", None, "item 0")]),
        ({"1": [0, 1], "2": "1 to 2"}, [("1", None, "1"), ("2", None, "2")]),
        ({"1": [[0, 1, 0.9]], "2": [1, 2]}, [("1", None, "1"), ("2", None, "2")]),
        ({"1": {"pred": [0, 1]}, "2": {"text": "1 to 2"}}, [("1", None, "1"), ("2", None, "2")]),
        ({"v": {"1": [0, 1], "2": {"pred": [1, 2]}}}, [("v_1", None, "v_1"), ("v_2", None, "v_2")]),
        (
            {"v": [{"timestamp": [0, 1], "caption": "q"}, {"timestamp": [1, 2], "caption": "r"}]},
            [(None, "v", "v"), (None, "v", "v")],
        ),
        ({"version": "1", "results": {"v": [{"timestamp": [0, 1], "sentence": "q"}]}}, [(None, "v", "v")]),
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_json_in_one_piece(tmp_path: Path, value: Any, expected: list[Any], indent: int | None) -> None:
    found = read(save(tmp_path, json.dumps(value, indent=indent), name="preds.json"))
    assert [(p.qid, p.video, p.location) for p in found] == expected
    assert [p.answer.span for p in found] == [Span(0, 1), Span(1, 2)][: len(expected)]


def test_a_folder_is_what_several_processes_wrote(tmp_path: Path) -> None:
    save(tmp_path, {"qid": 2, "span": [1, 2]}, name="predictions-rank1.jsonl")
    save(tmp_path, {"qid": 1, "span": [0, 1]}, name="predictions-rank0.jsonl")
    save(tmp_path, "what else lies there", name="log.jsonl")
    assert [p.qid for p in read(tmp_path)] == ["1", "2"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", r":2: not JSON .*write one object a line"),
        ("[1, 2]", ":2: not a JSON object"),
        ({"qid": 1, "windows": [[1, 2]]}, ":2: no prediction; write one under pred or text, found only qid, windows"),
        ({"qid": 1, "pred": [1, 2, 3]}, r":2: pred must be \[start, end\] in seconds, a list of windows or a text"),
        ({"qid": 1, "pred": ["1", "2"]}, r":2: pred must be .*got \['1', '2'\]"),
        ({"qid": 1, "pred": [True, 2]}, ":2: pred must be"),
        ({"qid": 1, "pred": [[1]]}, ":2: pred must be"),
        ({"qid": 1, "pred": [0, 10**400]}, ":2: pred must be"),
        ('{"qid": 1, "pred": [0, ' + "9" * 5000 + "]}", ":2: "),
        ({"qid": 1, "pred": 3}, ":2: pred must be"),
        ({"qid": 1, "pred": {"a": "b" * 500}}, ":2: pred must be .{1,150}…$"),
        ({"qid": [1], "pred": [1, 2]}, ":2: qid must be a text or a whole number"),
        ({"qid": 1.5, "pred": [1, 2]}, ":2: qid must be a text or a whole number"),
        ({"video": "a.mp4", "pred": [1, 2]}, ":2: does not say which question it answers; write its qid"),
        ('{"qid": 1, "pred": [1, 2], "qid": 2}', ":2: the key 'qid' stands twice"),
    ],
)
def test_what_is_no_answer_is_refused_with_its_line(tmp_path: Path, line: Any, said: str) -> None:
    path = save(tmp_path, {"qid": 0, "pred": [0, 1]}, line)
    with pytest.raises(ValueError, match=str(path) + said):
        read(path)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1], "item 0: not a JSON object"),
        ("x", "item 0: not a"),
        ({"v": {"1": {"x": 2}}}, "v_1: no prediction under any known key"),
    ],
)
def test_json_without_answers_is_refused(tmp_path: Path, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read(save(tmp_path, json.dumps(value)))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file of predictions"):
        read(tmp_path / "missing.jsonl")
    with pytest.raises(ValueError, match=r"no predictions\*\.jsonl in this folder"):
        read(tmp_path)
    with pytest.raises(ValueError, match="holds no prediction"):
        read(save(tmp_path, ""))
    with pytest.raises(ValueError, match=r"b\.json:3: not one JSON value"):
        read(save(tmp_path, "[", "1", "2]", name="b.json"))
    (tmp_path / "b.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="not UTF-8"):
        read(tmp_path / "b.jsonl")


def test_what_is_no_text(tmp_path: Path) -> None:
    """A sentence is fixed as in the annotations; a text is only read for its times; names are refused."""
    (found,) = read(save(tmp_path, {"video": "a", "query": "a \ud83d cat", "text": "\ud83d from 1.0 to 2.5\0"}))
    assert (found.query, found.answer.span) == ("a � cat", (1.0, 2.5))
    for line in ({"qid": "\ud83d", "pred": [0, 1]}, {"video": "a\0", "query": "q", "pred": [0, 1]}):
        with pytest.raises(ValueError, match=r"preds\.jsonl:2: the (id|video) .* no text"):
            read(save(tmp_path, {"qid": 1, "pred": [0, 1]}, line))


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"a": ' * 100_000, '{"pred": ' + "[" * 100_000 + "]" * 100_000 + "}"]
)
def test_deep_nesting_is_one_error(content: str, tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    for text in (content, f'{{"qid": 1, "pred": [0, 1]}}\n{content}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"deep\.json"):
            read(path)


@pytest.mark.parametrize(
    ("line", "spans"),
    [
        ({"spans": [[1, 2], [3.5, 4]], "text": "no"}, (Span(1, 2), Span(3.5, 4))),
        ({"spans": []}, ()),
        ({"spans": None}, None),
        ({"spans": [[1, 2], [4, 3]]}, None),  # what cannot be true makes the whole answer unusable
        ({"spans": [[1, None]]}, None),
    ],
)
def test_under_spans_a_list_is_the_whole_answer(
    tmp_path: Path, line: dict[str, Any], spans: tuple[Span, ...] | None
) -> None:
    assert read_one(tmp_path, **line).answer == Answer(False, spans, is_set=True)


@pytest.mark.parametrize(
    ("line", "is_refused"),
    [
        ({"spans": [[10, 20]], "text": "<answer>1 to 2</answer>"}, True),  # the truth beside a wrong answer
        ({"span": [10, 20], "text": "<answer>1 to 2</answer>"}, True),
        ({"spans": [], "text": "<answer>1 to 2</answer>"}, True),
        ({"spans": [[10, 20]], "text": "<answer>1 to 2</answer>", "follows_format": True}, False),  # predict's
        ({"spans": [[10, 20]], "text": "<think>1 to 2</think><answer>10.4 to 19.5</answer>"}, False),  # rounded
        ({"spans": [[5, 6], [10, 20]], "text": "10 to 20"}, False),
        ({"spans": None, "text": "1 to 2"}, False),  # no truth is null
        ({"spans": [[10, 20]], "text": "a man opens the door"}, False),  # nothing to see
    ],
)
def test_spans_that_contradict_the_text_beside_them_are_not_taken_for_the_answer(
    line: dict[str, Any], is_refused: bool, tmp_path: Path
) -> None:
    if not is_refused:
        assert read_one(tmp_path, **line).key == next(key for key in line if key.startswith("span"))
        return
    key = next(iter(line))
    with pytest.raises(
        ValueError, match=rf"preds\.jsonl:1: {key} is .*, but the text says \[1\.0, 2\.0\]: if {key} is"
    ):
        read_one(tmp_path, **line)


@pytest.mark.parametrize("spans", [3, [1, 2], [[1, 2, 3]], ["1 to 2"]])
def test_spans_of_another_form_are_refused(tmp_path: Path, spans: object) -> None:
    with pytest.raises(ValueError, match=r"spans must be"):
        read_one(tmp_path, spans=spans)


def test_a_text_is_read_as_its_format_says(tmp_path: Path) -> None:
    path = save(tmp_path, {"qid": 1, "text": "[[1, 2], [3, 4]]"}, {"qid": 2, "text": "[]"}, {"qid": 3, "text": "so"})
    sets = read_predictions(path, AnswerFormat(Method.TIMELENS2))
    assert [one.answer.spans for one in sets] == [(Span(1, 2), Span(3, 4)), (), None]
    assert [one.answer.spans for one in read_predictions(path, TIME_R1)] == [(Span(3, 4),), None, None]
