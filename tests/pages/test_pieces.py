"""Texts in pieces lose nothing, and link what the parser reads; lanes say what stands where."""

from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.pages.pieces import lanes_of, pieces_of, said
from tvg_lightning.schema import Answer, Span

TEXT = "<think>First <timestamp>1.0 to 4.0</timestamp>, at 2.5 s, then 7 to 9.</think><answer>2.0 to 4.0</answer>"
ANSWER = Answer(True, (Span(2.0, 4.0),), (Span(1.0, 4.0),))


def test_every_time_is_linked_with_its_window() -> None:
    linked = [piece for piece in pieces_of(TEXT, ANSWER) if "window" in piece]
    assert linked == [
        {"text": "1.0 to 4.0", "window": [1.0, 4.0], "anchor": 0},
        {"text": "2.5 s", "window": [2.5, 2.5]},
        {"text": "7 to 9", "window": [7.0, 9.0]},
        {"text": "2.0 to 4.0", "window": [2.0, 4.0], "answer": True},
    ]
    assert [piece["text"] for piece in pieces_of(TEXT, ANSWER) if piece.get("tag")][:2] == ["<think>", "<timestamp>"]


@given(st.text(alphabet="12.:, ast<>/think-从到秒\n", max_size=60))
def test_no_character_is_lost(text: str) -> None:
    assert "".join(piece["text"] for piece in pieces_of(text, Answer(False, None))) == text


def test_lanes() -> None:
    truth, anchor, answer = lanes_of([Span(2.0, 5.0)], ANSWER, (0.5,), 2 / 3)
    assert truth == {"name": "truth", "kind": "truth", "bars": [[2.0, 5.0]], "iou": None, "note": ""}
    assert (anchor["name"], anchor["anchor"], anchor["iou"]) == ("anchor 1", 0, 0.5)
    assert (answer["bars"], answer["iou"]) == ([[2.0, 4.0]], 0.667)


def test_lanes_without_truth_answer_or_usable_anchor() -> None:
    anchor, answer = lanes_of(None, Answer(False, None, (Span(9.0, 7.0),)), (), None)
    assert (anchor["bars"], anchor["note"], anchor["iou"]) == ([], "9 – 7 cannot be used", None)
    assert answer["note"] == "no answer that can be read"
    truth, answer = lanes_of((), Answer(True, (), is_set=True), (), 1.0)
    assert truth["note"] == answer["note"] == said(Answer(True, ())) == "not in this video"
