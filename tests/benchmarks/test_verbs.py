"""The table by hand."""

import json
from pathlib import Path

from benchmarks.verbs import first_verb, plain_verb, read_labels, table


def test_a_table_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    labels = {
        "a": {"sentences": ["it fell", "a box"], "verb": ["fell", ""]},
        "b": {"sentences": ["it fell", "He ran"], "verb": ["fell", "ran"]},
    }
    path.write_text(json.dumps(labels), encoding="utf-8")
    pairs = read_labels(path)
    assert pairs == [("it fell", "fell"), ("a box", ""), ("it fell", "fell"), ("He ran", "ran")]
    finders = {"last": lambda sentence: sentence.upper().split()[-1], "none": lambda sentence: ""}
    assert table(pairs, finders).splitlines() == [
        "| tagger | all 4 | distinct 3 |",
        "|---|---|---|",
        "| last | 0.7500 | 0.6667 |",
        "| none | 0.2500 | 0.3333 |",
    ]


def test_the_repairs_make_a_difference() -> None:
    assert plain_verb("person drinks from a bowl.") == ""
    assert first_verb("person drinks from a bowl.", "hanta") == "drinks"
    assert plain_verb("person eats a pear") == first_verb("person eats a pear", "hanta") == "eats"
