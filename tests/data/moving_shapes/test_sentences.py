"""The words about a scene, and that the project's own tagger finds the one verb in each of them."""

import random
from dataclasses import replace

import pytest

from tvg_lightning.data.moving_shapes.sentences import (
    FORMS,
    dense_description,
    events_within,
    query_for,
    simple_sentence,
    wordings,
)
from tvg_lightning.data.moving_shapes.world import ACTIONS, COLOURS, SHAPES, Actor, Event, Scene, draw_scene
from tvg_lightning.schema import Span
from tvg_lightning.tasks.verbs import lemma, remove_first_verb, verb_lemmas

SCENE = Scene(
    seed=0,
    duration_s=12.0,
    fps=8.0,
    background=(20, 20, 20),
    noise=0.0,
    actors=(Actor("red", "circle", 56, 56, 24), Actor("blue", "cross", 56, 56, 24)),
    distractors=(),
    events=(Event(0, "rise", Span(1.0, 4.5), 1), Event(1, "shake", Span(6.0, 10.0), 1)),
)


def test_descriptions_by_hand() -> None:
    assert simple_sentence("red circle", "rise") == "the red circle rises"
    found = {dense_description(random.Random(seed), SCENE) for seed in range(20)}
    assert found == {
        "Seen: red circle rises: 1.0 to 4.5, blue cross shakes: 6.0 to 10.0.",
        "Seen: blue cross shakes: 6.0 to 10.0, red circle rises: 1.0 to 4.5.",
    }
    one = replace(SCENE, events=SCENE.events[:1])
    assert dense_description(random.Random(0), one) == "Seen: red circle rises: 1.0 to 4.5."


@pytest.mark.parametrize(
    ("span", "actions"),
    [
        (Span(0.0, 12.0), ["rise", "shake"]),
        (Span(0.0, 1.0), []),  # ends where the first begins
        (Span(4.5, 6.0), []),
        (Span(4.0, 6.5), ["rise", "shake"]),
        (Span(2.0, 2.0), ["rise"]),  # a moment
        (Span(7.0, 8.0), ["shake"]),
    ],
)
def test_events_within_by_hand(span: Span, actions: list[str]) -> None:
    assert [event.action for event in events_within(SCENE, span)] == actions


def test_wordings_by_hand() -> None:
    found = wordings("red circle", "rise")
    assert found[:4] == [
        "The red circle rises.",
        "A red circle rises.",
        "The red circle is rising.",
        "A circle that is red rises.",
    ]
    assert "The red circle rises toward the top." in found
    assert len(found) == len(set(found)) == 12


def test_forms_are_of_their_action() -> None:
    assert set(FORMS) == set(ACTIONS)
    for action, (verb, participle, _) in FORMS.items():
        assert lemma(verb) == lemma(participle) == action


@pytest.mark.parametrize("action", ACTIONS)
def test_every_wording_has_one_verb_and_it_is_the_action(action: str) -> None:
    for shape in SHAPES:
        for colour in COLOURS:
            for sentence in wordings(f"{colour} {shape}", action):
                assert verb_lemmas(sentence) == (action,), sentence


def test_a_query_without_its_verb_does_not_tell_the_action() -> None:
    for action, (verb, participle, _) in FORMS.items():
        for sentence in wordings("green triangle", action):
            rest = remove_first_verb(sentence)
            assert rest is not None and rest.count("____") == 1
            assert not {verb, participle, action} & set(rest.rstrip(".").split()), sentence


def test_a_query_is_one_of_its_wordings_and_follows_from_the_generator() -> None:
    scene = draw_scene(3)
    for event in scene.events:
        query = query_for(random.Random(1), scene, event)
        assert query == query_for(random.Random(1), scene, event)
        assert query in wordings(scene.actors[event.actor].subject, event.action)
    drawn = {query_for(random.Random(k), SCENE, SCENE.events[0]) for k in range(200)}
    assert drawn == set(wordings("red circle", "rise"))
