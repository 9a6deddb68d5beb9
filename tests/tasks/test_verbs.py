import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.tasks.verbs import BLANK, lemma, remove_first_verb, verb_lemmas, verbs


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("rises", "rise"),
        ("Rose", "rise"),
        ("spinning", "spin"),
        ("shrank", "shrink"),
        ("blinks", "blink"),
        ("opened", "open"),
        ("left", "leave"),
        ("putting", "put"),
        ("walk", "walk"),
        ("zorbles", "zorble"),  # no dictionary has it
        ("", ""),
    ],
)
def test_lemma(word: str, expected: str) -> None:
    assert lemma(word) == expected


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("The red circle rises.", ["rise"]),
        ("a blue square is spinning", ["spin"]),
        ("when the green triangle blinks", ["blink"]),
        ("the yellow cross that shrinks", ["shrink"]),
        ("the purple circle that pulses", ["pulse"]),
        ("person opens the door", ["open"]),
        ("a person is opening the door.", ["open"]),
        ("the blue square slides left", ["slide"]),
        ("A circle that is red shakes.", ["shake"]),
        ("The white square grows larger.", ["grow"]),
        ("The circle rises, then it falls.", ["rise", "fall"]),
        ("person drinks from a cup.", ["drink"]),
        ("a person is sneezing.", ["sneeze"]),
        ("person has a drink", ["have"]),  # have as a verb of its own
        ("the person has opened the door", ["open"]),  # have as a helper
        ("a person can open the door", ["open"]),
        ("the circle is red", []),
        ("a red circle", []),
        ("", []),
    ],
)
def test_verbs(sentence: str, found: list[str]) -> None:
    assert list(verb_lemmas(sentence)) == found


@pytest.mark.parametrize("shape", ["circle", "square", "triangle", "cross"])
@pytest.mark.parametrize(
    ("action", "third", "participle"),
    [
        ("rise", "rises", "rising"),
        ("fall", "falls", "falling"),
        ("slide", "slides", "sliding"),
        ("spin", "spins", "spinning"),
        ("blink", "blinks", "blinking"),
        ("grow", "grows", "growing"),
        ("shrink", "shrinks", "shrinking"),
        ("shake", "shakes", "shaking"),
    ],
)
def test_the_words_of_the_moving_shapes(shape: str, action: str, third: str, participle: str) -> None:
    for sentence in (
        f"The red {shape} {third}.",
        f"a blue {shape} is {participle}",
        f"A {shape} that is green {third} on the spot.",
        f"the yellow {shape} that {third}",
        f"when the white {shape} {third}",
    ):
        assert verb_lemmas(sentence) == (action,), sentence


def test_positions_are_those_of_the_text() -> None:
    sentence = "Then, the red circle rises; a square is spinning."
    for verb in verbs(sentence):
        assert sentence[verb.start : verb.start + len(verb.text)] == verb.text
    assert [verb.text for verb in verbs(sentence)] == ["rises", "spinning"]


@pytest.mark.parametrize(
    ("sentence", "without"),
    [
        ("The red circle rises.", "The red circle ____."),
        ("a blue square is spinning", "a blue square is ____"),
        ("person opens the door and walks away", "person ____ the door and walks away"),
        ("  person   opens the door", "  person   ____ the door"),
        ("a red circle", None),
        ("", None),
    ],
)
def test_remove_first_verb(sentence: str, without: str | None) -> None:
    assert remove_first_verb(sentence) == without


@given(st.text(max_size=80))
def test_no_text_raises_and_removal_touches_one_word(text: str) -> None:
    found = verbs(text)
    without = remove_first_verb(text)
    assert (without is None) == (not found)
    if without is not None:
        start, end = found[0].start, found[0].start + len(found[0].text)
        assert without == text[:start] + BLANK + text[end:]


@pytest.mark.parametrize("text", ["a" * 100_000, "rising " * 5_000, "a-" * 50_000, "." * 50_000, "é" * 100_000])
def test_long_texts_are_read_at_once(text: str) -> None:
    started = time.process_time()
    verbs(text)
    assert time.process_time() - started < 10.0


def test_the_verbs_published_with_invert4tvg(shared: Path) -> None:
    path = shared / "data/annotations/invert4tvg_verbs/val_vs.json"
    videos = json.loads(path.read_text(encoding="utf-8")).values()
    pairs = sorted({pair for video in videos for pair in zip(video["sentences"], video["verb"], strict=True)})
    same = sum(next((verb.text for verb in verbs(sentence)), "") == theirs for sentence, theirs in pairs)
    assert len(pairs) > 2500
    assert same / len(pairs) > 0.97
