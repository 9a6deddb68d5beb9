"""Sentences about a scene: the wordings of one event, and the dense description of all of them."""

import random

from tvg_lightning.data.moving_shapes.world import Event, Scene
from tvg_lightning.schema import Span

# third person, participle, and what may follow the verb without changing its meaning
FORMS = {
    "rise": ("rises", "rising", ("", "", " upward", " toward the top")),
    "fall": ("falls", "falling", ("", "", " downward", " toward the bottom")),
    "slide": ("slides", "sliding", ("", "", " sideways", " across the picture")),
    "spin": ("spins", "spinning", ("", "", " around itself", " on the spot")),
    "blink": ("blinks", "blinking", ("", "", " on and off", " again and again")),
    "grow": ("grows", "growing", ("", "", " larger", " in size")),
    "shrink": ("shrinks", "shrinking", ("", "", " smaller", " in size")),
    "shake": ("shakes", "shaking", ("", "", " on the spot", " back and forth")),
}


def simple_sentence(subject: str, action: str) -> str:
    """The plainest wording: "the red circle rises"."""
    return f"the {subject} {FORMS[action][0]}"


def wordings(subject: str, action: str) -> list[str]:
    """Every wording of "subject does action", natural sentences with exactly one main verb."""
    colour, shape = subject.split(" ")
    verb, participle, tails = FORMS[action]
    found = []
    for tail in dict.fromkeys(tails):
        found += [
            f"The {subject} {verb}{tail}.",
            f"A {subject} {verb}{tail}.",
            f"The {subject} is {participle}{tail}.",
            f"A {shape} that is {colour} {verb}{tail}.",
        ]
    return found


def query_for(rng: random.Random, scene: Scene, event: Event) -> str:
    """One of the wordings of an event."""
    return rng.choice(wordings(scene.actors[event.actor].subject, event.action))


def events_within(scene: Scene, span: Span) -> list[Event]:
    """The events of which some part lies inside the span, in order of time."""
    return [e for e in scene.events if e.window.start_s < span.end_s and e.window.end_s > span.start_s]


def timed_event(scene: Scene, event: Event) -> str:
    """One event and its window: "red circle rises: 2.0 to 5.5"."""
    subject = scene.actors[event.actor].subject
    return f"{subject} {FORMS[event.action][0]}: {event.window.start_s:.1f} to {event.window.end_s:.1f}"


def dense_description(rng: random.Random, scene: Scene) -> str:
    """All events with their windows, in any order: "Seen: blue cross spins: 7.0 to 10.0, red circle rises: 2.0 to 5.5."

    Where the order tells nothing, a window can only be known from what is seen in it.
    """
    return f"Seen: {', '.join(timed_event(scene, e) for e in rng.sample(scene.events, len(scene.events)))}."
