import json
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvg_lightning.tasks import spacy_verbs
from tvg_lightning.tasks.verbs import (
    BLANK,
    VARIABLE,
    Tagger,
    Verb,
    lemma,
    remove_first_verb,
    tagger_name,
    verb_lemmas,
    verbs,
    without_verb,
)


@pytest.fixture(autouse=True)
def read_with_hanta(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is expected below holds for HanTa, also on a machine that has spaCy."""
    monkeypatch.setenv(VARIABLE, "hanta")


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


@pytest.mark.parametrize(
    ("sentence", "verb", "without"),
    [
        ("a person folds a shirt.", Verb("folds", "fold", 9), "a person a shirt."),
        ("the person yawns.", Verb("yawns", "yawn", 11), "the person."),  # no space before the stop
        ("juggling with two balls", Verb("juggling", "juggle", 0), "with two balls"),
        ("person  lifts   a lid", Verb("lifts", "lift", 8), "person a lid"),
        ("one kneels,one jumps", Verb("jumps", "jump", 15), "one kneels,one"),
        ("jumps", Verb("jumps", "jump", 0), ""),
    ],
)
def test_without_verb_leaves_no_mark_and_no_gap(sentence: str, verb: Verb, without: str) -> None:
    assert without_verb(sentence, verb) == without


PHRASES = st.lists(
    st.sampled_from(
        ["a", "person", "the box", "opens", "is", "sneezing", "there", "has", "drink", "that", "left", ". "]
    )
).map(" ".join)


@given(st.text(max_size=80) | PHRASES)
def test_no_text_raises_and_removal_touches_one_word(text: str) -> None:
    found = verbs(text, "hanta")
    without = remove_first_verb(text, "hanta")
    assert (without is None) == (not found)
    for verb in found:
        end = verb.start + len(verb.text)
        assert text[verb.start : end] == verb.text and verb.text.split() == [verb.text]
        letters = Counter(without_verb(text, verb).replace(" ", "")) + Counter(verb.text)
        assert letters == Counter("".join(text.split()))
    if without is not None:
        start, end = found[0].start, found[0].start + len(found[0].text)
        assert without == text[:start] + BLANK + text[end:]


def test_auto_is_spacy_where_a_model_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr(spacy_verbs, "installed_model", lambda: "en_core_web_sm")
    monkeypatch.setattr(spacy_verbs, "main_verbs", lambda text: [(0, 3)])
    assert tagger_name() == "spacy" and tagger_name("hanta") == "hanta"
    assert verbs("Ran it rises") == (Verb("Ran", "run", 0),)
    assert remove_first_verb("Ran it rises") == "____ it rises"
    assert verb_lemmas("the red circle rises", "hanta") == ("rise",)


def test_auto_is_hanta_where_no_model_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr(spacy_verbs, "installed_model", lambda: None)
    assert tagger_name() == "hanta"
    with pytest.raises(ValueError, match="spacy download en_core_web_sm`, or choose the tagger hanta"):
        verbs("the red circle rises", "spacy")


def test_the_variable_decides_where_no_tagger_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spacy_verbs, "installed_model", lambda: "en_core_web_sm")
    assert tagger_name() == "hanta" and tagger_name("spacy") == "spacy"
    monkeypatch.setenv(VARIABLE, "spacy")
    assert tagger_name() == "spacy" and tagger_name("hanta") == "hanta"
    monkeypatch.setenv(VARIABLE, "nltk")
    with pytest.raises(ValueError, match="TVG_VERB_TAGGER=nltk: give one of auto, spacy, hanta"):
        tagger_name()


@pytest.mark.parametrize("text", ["a" * 100_000, "rising " * 5_000, "a-" * 50_000, "." * 50_000, "é" * 100_000])
def test_long_texts_are_read_at_once(text: str) -> None:
    started = time.process_time()
    verbs(text)
    assert time.process_time() - started < 10.0


def agreement(shared: Path, tagger: Tagger) -> float:
    """Share of the published verbs, one per query, that are the first found ("" where there is none).

    Where they agree, the published sentence without the verb must be ours too.
    """
    path = shared / "data/annotations/invert4tvg_verbs/val_vs.json"
    videos = json.loads(path.read_text(encoding="utf-8")).values()
    num_same = num_queries = 0
    for video in videos:
        for sentence, theirs, missing in zip(video["sentences"], video["verb"], video["Missing"], strict=True):
            found = verbs(sentence, tagger)
            num_queries += 1
            if (found[0].text if found else "").lower() == theirs.lower():
                num_same += 1
                assert (without_verb(sentence, found[0]) if found else sentence) == missing
    assert num_queries == 4451
    return num_same / num_queries


def test_hanta_finds_the_verbs_published_with_invert4tvg(shared: Path) -> None:
    assert agreement(shared, "hanta") > 0.98


@pytest.mark.skipif(spacy_verbs.installed_model() is None, reason="needs spaCy and its small English model")
def test_spacy_finds_the_verbs_published_with_invert4tvg(shared: Path) -> None:
    assert agreement(shared, "spacy") > 0.99
