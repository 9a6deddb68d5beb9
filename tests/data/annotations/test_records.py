from dataclasses import replace
from pathlib import Path

import pytest

from tvg_lightning.data.annotations.records import Record, clean, numbered
from tvg_lightning.schema import Span


def record(location: int, sample_id: str = "a", **changes: object) -> Record:
    given: dict[str, object] = {"video": "g.mp4", "duration_s": 9.0, "query": "a goat", "windows": (Span(1.0, 2.0),)}
    return Record(location, sample_id, **{**given, **changes})  # type: ignore[arg-type]


def test_repeated_ids_are_numbered_and_said() -> None:
    found = list(numbered([record(1), record(2, "b"), record(3, fixed=("repaired",)), record(4)]))
    assert [(r.location, r.sample_id) for r in found] == [(1, "a"), (2, "b"), (3, "a#2"), (4, "a#3")]
    why = "id occurs again: a number is added"
    assert [r.fixed for r in found] == [(), (), ("repaired", why), (why,)]


def test_two_records_of_one_id_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"goats\.txt:2: id 'a' is already that of 1; make it unique"):
        clean(Path("goats.txt"), [record(1), record(2)])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"query": " \n"}, "query is empty"),
        ({"duration_s": None}, "video has no length"),
        ({"duration_s": float("nan")}, "duration is not a positive number of seconds"),
        ({"duration_s": 0.0}, "duration is not a positive number of seconds"),
        ({"cut": Span(4.0, 4.0)}, "cut is not 0 <= start < end"),
        ({"cut": Span(-1.0, 8.0)}, "cut is not 0 <= start < end"),
        ({"cut": Span(0.0, float("inf"))}, "cut is not 0 <= start < end"),
        ({"windows": (Span(1.0, 2.0), Span(9.0, 12.0))}, "window begins after the video's end"),
    ],
)
def test_only_the_record_that_cannot_be_true_is_refused(changes: dict[str, object], why: str) -> None:
    result = clean(Path("goats.txt"), [record(1, **changes), record(2, "b")])
    assert result.report.refused == ((1, why),) and [sample.sample_id for sample in result.samples] == ["b"]


def test_what_is_no_text_in_a_query_is_replaced_and_noted() -> None:
    result = clean(Path("goats.txt"), [record(1, query="a \ud83d goat\0"), record(2, "b", query="ein 🐐")])
    assert [sample.query for sample in result.samples] == ["a � goat�", "ein 🐐"]
    why = "what is no text (half an emoji, or NUL) in the query: replaced by U+FFFD"
    assert result.report.fixed == ((1, why),)


@pytest.mark.parametrize(("key", "said"), [("sample_id", "the id"), ("video", "the video")])
@pytest.mark.parametrize("letters", ["a\ud83d", "a\0", "\udce9.mp4"])
def test_a_name_that_is_no_text_is_refused(key: str, said: str, letters: str) -> None:
    with pytest.raises(ValueError, match=f"^{said} '.*' holds what is no text"):
        replace(record(1), **{key: letters})  # type: ignore[arg-type]
