"""One test a repair: captions in which HanTa takes the verb for another word, and their like in which it is right."""

import pytest

from tvg_lightning.tasks.hanta_verbs import main_verbs


def words(sentence: str) -> list[str]:
    return [sentence[start:end] for start, end in main_verbs(sentence)]


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("person drinks from a bowl.", ["drinks"]),  # noun noun
        ("person open the drawer.", ["open"]),  # noun adjective
        ("person pour milk in a bowl.", ["pour"]),  # noun and a word the tagger does not know
        ("a person laugh.", ["laugh"]),
        ("the circle that blinks", ["blinks"]),
        ("the blue square slides left", ["slides"]),  # and left is a direction
        ("person up on a hill", []),
        ("a person in red boots.", []),
        ("a view of the garden bed.", []),  # a base form needs a person or a plural before it
    ],
)
def test_the_verb_of_a_clause_without_a_finite_one(sentence: str, found: list[str]) -> None:
    assert words(sentence) == found


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("person laugh as they throw a ball.", ["laugh", "throw"]),
        ("person open a jar eat a pickle.", ["open", "eat"]),
        ("person start humming while they sweep.", ["start", "humming", "sweep"]),
        ("person light switch turns", ["turns"]),  # what follows starts no phrase
        ("the ball drops as they throw it", ["drops", "throw"]),
        ("the water glass on the table falls", ["falls"]),  # its subject is no person
    ],
)
def test_the_verb_of_a_person_before_another_clause(sentence: str, found: list[str]) -> None:
    assert words(sentence) == found


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("sneezing into a scarf.", ["sneezing"]),
        ("a person is sneezing.", ["sneezing"]),
        ("person is constantly sneezing.", ["sneezing"]),
        ("person still humming.", ["humming"]),
        ("person begins sneezing.", ["begins", "sneezing"]),
        ("person snuggling with a teddy", ["snuggling"]),
        ("a person cooking in the garden falls.", ["cooking", "falls"]),
        ("a smiling man sits on a bench.", ["smiling", "sits"]),
        ("a person sits in the living room.", ["sits"]),
        ("a person empties the washing machine.", ["empties"]),
        ("a person lifts something.", ["lifts"]),
    ],
)
def test_words_in_ing(sentence: str, found: list[str]) -> None:
    assert words(sentence) == found


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("A circle that is red shakes.", ["shakes"]),
        ("a triangle which is green spins around", ["spins"]),
        ("a circle with red stripes", []),
    ],
)
def test_the_verb_after_a_relative_clause(sentence: str, found: list[str]) -> None:
    assert words(sentence) == found


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("there is a person juggling three balls.", ["is", "juggling"]),
        ("there are two squares", ["are"]),
        ("the square is there", []),
        ("the square is red", []),
    ],
)
def test_be_is_a_verb_of_its_own_after_there(sentence: str, found: list[str]) -> None:
    assert words(sentence) == found


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("the person has a hat", ["has"]),
        ("the person does a somersault", ["does"]),
        ("the person has lifted the lid", ["lifted"]),
        ("the person does not lift the lid", ["lift"]),
        ("the person can lift the lid", ["lift"]),
    ],
)
def test_have_and_do_are_verbs_unless_they_help_one(sentence: str, found: list[str]) -> None:
    assert words(sentence) == found


def test_every_sentence_of_a_text_is_read() -> None:
    text = "The ball rolls! Then\nperson open the gate. Nothing."
    assert words(text) == ["rolls", "open"]
    assert [text[start:end] for start, end in main_verbs(text)] == words(text)
