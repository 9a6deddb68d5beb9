"""Words, marks and tables of many kinds become the English that times are cut from."""

import pytest

from tvg_lightning.plain_english import label_of, plain_english


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("from 12 to 18", "from 12 to 18"),
        ("从12秒到18秒", " from 12 seconds to 18 seconds "),
        ("１２秒から１８秒", "12 seconds to 18 seconds"),
        ("12초부터 18초", "12 seconds to 18 seconds "),
        ("de 12 à 18 secondes", "from 12 to 18 seconds"),
        (r"\boxed{\text{12 to 18}}", "[ 12 to 18 ]"),
        (r"$12 \leq t \leq 18$", "$12 to 18$"),
        ("1’234", "1234"),
        ("片段1:12", "片段 1: 12"),
    ],
)
def test_the_same_said_in_plain_english(text: str, plain: str) -> None:
    assert plain_english(text)[0].split() == plain.split()


@pytest.mark.parametrize(
    ("text", "has_decimal_commas"),
    [
        ("12,5 to 18,3", True),
        ("zwischen 12 und 18", True),
        ("0,5 and 12", True),
        ("12 to 18", False),
        ("12, 18", False),
        ("the plate, la mano", False),  # a French or Spanish article alone says nothing of numbers
    ],
)
def test_decimal_commas_are_those_of_the_language_or_of_the_numbers(text: str, has_decimal_commas: bool) -> None:
    assert plain_english(text)[1] is has_decimal_commas


def test_the_rows_of_a_table_bear_the_labels_of_its_columns() -> None:
    table = "| Event | Start (min) | End |\n|---|---|---|\n| jump | 1 | 2 |\nno table"
    assert plain_english(table)[0].split("\n") == [
        "",
        "start: --- min, end: --- ;",
        "start: 1 min, end: 2 ;",
        "no table",
    ]
    two_starts = "| Start | Begin | End |\n| 1 | 2 | 3 |"
    assert plain_english(two_starts)[0] == two_starts


def test_a_label_is_the_first_word_that_says_anything() -> None:
    assert label_of(["the", "point", "ending"]) == "end" and label_of(["until"]) == "end"
    assert label_of(["beginning", "end"]) == label_of(["from"]) == "start"
    assert label_of(["red", "start"]) is None and label_of([]) is None and label_of(["about"]) is None
