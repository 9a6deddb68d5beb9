"""Queries: their truth by hand, and that every wording says its query and no other."""

import re
from itertools import pairwise
from typing import get_args

import pytest

from tvg_lightning.data.moving_shapes.kinds import deeds_of, draw_scene_for
from tvg_lightning.data.moving_shapes.queries import (
    KINDS,
    Deed,
    Kind,
    Ordinal,
    Query,
    Relation,
    captions_of,
    query_wordings,
    true_windows,
    words_apart,
)
from tvg_lightning.data.moving_shapes.sentences import FORMS, wordings
from tvg_lightning.data.moving_shapes.world import ACTIONS, Actor, Event, Scene
from tvg_lightning.schema import Span
from tvg_lightning.tasks.verbs import verb_lemmas

RED, BLUE = "red square", "blue circle"
FIRST, SECOND, THIRD = Span(1.0, 4.0), Span(9.0, 12.0), Span(14.0, 18.0)
# red spins three times; blue grows between the first two, shakes during the third and rises twice
SCENE = Scene(
    seed=0,
    duration_s=40.0,
    fps=8.0,
    background=(20, 20, 20),
    noise=0.0,
    actors=(Actor("red", "square", 30, 56, 15), Actor("blue", "circle", 84, 56, 15)),
    distractors=(),
    events=(
        Event(0, "spin", FIRST, 1),
        Event(1, "grow", Span(4.0, 9.0), 1),
        Event(0, "spin", SECOND, 1),
        Event(0, "spin", THIRD, -1),
        Event(1, "shake", Span(17.5, 21.0), 1),
        Event(1, "rise", Span(24.0, 27.0), 1),
        Event(1, "rise", Span(30.0, 33.0), 1),
    ),
)


@pytest.mark.parametrize("kind", ["plain", "look_alike", "long", "every", "absent"])
def test_a_deed_is_true_wherever_it_is_done(kind: Kind) -> None:
    assert true_windows(SCENE, Query(kind, RED, "spin")) == (FIRST, SECOND, THIRD)
    assert true_windows(SCENE, Query(kind, BLUE, "grow")) == (Span(4.0, 9.0),)
    for subject, action in ((BLUE, "spin"), (RED, "grow"), ("red circle", "spin"), ("blue square", "shake")):
        assert true_windows(SCENE, Query(kind, subject, action)) == ()


@pytest.mark.parametrize(
    ("ordinal", "red", "blue"),
    [
        ("first", FIRST, Span(24.0, 27.0)),
        ("second", SECOND, Span(30.0, 33.0)),
        ("third", THIRD, None),
        ("last", THIRD, Span(30.0, 33.0)),
    ],
)
def test_ordinals_by_hand(ordinal: Ordinal, red: Span, blue: Span | None) -> None:
    assert true_windows(SCENE, Query("ordinal", RED, "spin", ordinal)) == (red,)
    assert true_windows(SCENE, Query("ordinal", BLUE, "rise", ordinal)) == (() if blue is None else (blue,))


@pytest.mark.parametrize(
    ("relation", "action", "windows"),
    [
        ("after", "grow", (SECOND,)),  # the first of two that are later, begins where the other ends
        ("before", "grow", (FIRST,)),  # ends in the moment in which the other begins
        ("while", "grow", ()),  # touches two of them
        ("before", "shake", (SECOND,)),  # the last of two that are over; the third goes on
        ("while", "shake", (THIRD,)),  # half a second is shared
        ("after", "shake", ()),
        ("before", "rise", (THIRD,)),  # the other deed is done twice, and the answer is the same
        ("after", "blink", ()),
    ],
)
def test_relations_by_hand(relation: Relation, action: str, windows: tuple[Span, ...]) -> None:
    query = Query("relation", RED, "spin", relation=relation, other=Deed(BLUE, action))
    assert true_windows(SCENE, query) == windows


def test_captions_say_what_happens_in_order_of_time() -> None:
    assert captions_of(SCENE)[:3] == [
        "1.0 to 4.0: red square spins",
        "4.0 to 9.0: blue circle grows",
        "9.0 to 12.0: red square spins",
    ]
    assert len(captions_of(SCENE)) == len(SCENE.events)


def test_another_deed_that_is_done_twice_can_leave_two_answers() -> None:
    """Such a query is ambiguous and never drawn."""
    query = Query("relation", BLUE, "rise", relation="after", other=Deed(RED, "spin"))
    assert true_windows(SCENE, query) == (Span(24.0, 27.0),)
    query = Query("relation", RED, "spin", relation="after", other=Deed(RED, "spin"))
    assert true_windows(SCENE, query) == (SECOND, THIRD)


def test_parts_go_with_their_kind() -> None:
    for wrong in (
        {"kind": "ordinal"},
        {"kind": "plain", "ordinal": "first"},
        {"kind": "relation", "relation": "after"},
        {"kind": "plain", "relation": "after", "other": Deed(BLUE, "grow")},
    ):
        with pytest.raises(AssertionError):
            Query(subject=RED, action="spin", **wrong)  # type: ignore[arg-type]


def test_words_apart_by_hand() -> None:
    deed = Deed("red square", "spin")
    assert words_apart(deed, deed) == 0
    for other, words in (("blue square", "spin"), 1), (("red cross", "spin"), 1), (("red square", "rise"), 1):
        assert words_apart(deed, Deed(*other)) == words
    assert words_apart(deed, Deed("blue cross", "spin")) == 2 and words_apart(deed, Deed("blue cross", "rise")) == 3


def test_wordings_by_hand() -> None:
    assert query_wordings(Query("plain", RED, "spin")) == wordings(RED, "spin")
    assert query_wordings(Query("ordinal", RED, "spin", "second"))[:5] == [
        "The second time the red square spins",
        "The second time that the red square spins",
        "The red square spins for the second time.",
        "The red square is spinning for the second time.",
        "For the second time, the red square spins.",
    ]
    assert query_wordings(Query("every", BLUE, "grow"))[:6] == [
        "Every time the blue circle grows",
        "Every time that the blue circle grows",
        "Each time the blue circle grows",
        "All the times the blue circle grows",
        "Whenever the blue circle grows",
        "All moments when the blue circle is growing",
    ]
    other = Deed(RED, "spin")
    assert query_wordings(Query("relation", BLUE, "grow", relation="after", other=other))[:4] == [
        "The blue circle grows after the red square spins.",
        "The blue circle is growing after the red square spins.",
        "After the red square spins, the blue circle grows.",
        "The first time the blue circle grows after the red square spins",
    ]
    assert query_wordings(Query("relation", BLUE, "grow", relation="while", other=other))[-2:] == [
        "The blue circle grows in size while the red square is spinning.",
        "The blue circle grows in size as the red square spins.",
    ]


ACTION_OF = {form: action for action, (verb, participle, _) in FORMS.items() for form in (verb, participle)}
DEED = re.compile(
    rf"(?:(?P<colour>[a-z]+) (?P<shape>[a-z]+)|(?P<shape2>[a-z]+) that is (?P<colour2>[a-z]+))"
    rf" (?:is )?(?P<form>{'|'.join(ACTION_OF)})\b"
)


def read_back(sentence: str, kind: Kind) -> Query:
    """The query that a sentence says, read from its words alone."""
    deeds = [
        Deed(f"{m['colour'] or m['colour2']} {m['shape'] or m['shape2']}", ACTION_OF[m["form"]])
        for m in DEED.finditer(sentence)
    ]
    said = re.findall(r"\b(after|before|while|as)\b", sentence.lower())
    if said:
        (word,) = said
        deed, other = reversed(deeds) if sentence.lower().startswith(word) else deeds
        return Query(kind, *deed, relation="while" if word == "as" else word, other=other)
    (deed,) = deeds
    ordinals = re.findall(r"\b(first|second|third|last)\b", sentence)
    return Query(kind, *deed, *ordinals)


@pytest.mark.parametrize("kind", KINDS)
def test_every_wording_says_its_query_and_no_other(kind: Kind) -> None:
    queries = {asked.query for seed in range(150) for asked in draw_scene_for(kind, seed, "any").asked}
    for query in queries:
        sentences = query_wordings(query)
        assert len(sentences) == len(set(sentences)) >= 8
        for sentence in sentences:
            assert read_back(sentence, kind) == query, sentence
            assert sentence[0].isupper() and "  " not in sentence and sentence == sentence.strip()
            verbal = re.match(r"(Every|Each|All|Whenever|The \w+ time)\b", sentence)
            assert sentence.endswith(".") == (verbal is None), sentence
            assert ("very time" in sentence or "ach time" in sentence) <= (kind == "every")


@pytest.mark.parametrize("action", ACTIONS)
def test_the_verb_of_one_deed_is_found_in_every_wording(action: str) -> None:
    queries = [Query("every", RED, action)]
    queries += [Query("ordinal", RED, action, ordinal) for ordinal in ("first", "second", "third", "last")]
    for query in queries:
        for sentence in query_wordings(query):
            assert verb_lemmas(sentence) == (action,), sentence


def test_the_first_verb_is_the_asked_one_where_the_sentence_begins_with_it() -> None:
    """But for "slides", which HanTa takes for a noun in some sentences with a second verb."""
    for action, other in pairwise((*ACTIONS, *ACTIONS[::3], *ACTIONS[::-1])):
        for relation in get_args(Relation):
            query = Query("relation", BLUE, action, relation=relation, other=Deed(RED, other))
            for sentence in query_wordings(query):
                found = verb_lemmas(sentence)
                assert found and set(found) <= {action, other}, sentence
                if sentence.startswith("The") and action != "slide":
                    assert found[0] == action, sentence


def test_every_deed_that_may_be_done_can_be_worded() -> None:
    assert {deed.action for deed in deeds_of("any")} == set(ACTIONS)
    assert all(query_wordings(Query("absent", *deed)) for deed in deeds_of("any"))
