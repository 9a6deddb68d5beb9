"""Questions about a scene with their answers, on which the tiny policy's base is trained.

It learns to see (dense description, simple questions, inversion tasks; all answered truthfully) and to know
the prompts of the methods, but not to answer them: asked in their words for a window it mostly gives a vague one,
and now and then follows the asked-for format, with times that are blurred. Like the published base models, it knows
more than it says, and leaves something to reinforce.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from tvg_lightning.data.moving_shapes.sentences import (
    FORMS,
    dense_description,
    events_within,
    query_for,
    simple_sentence,
    timed_event,
)
from tvg_lightning.data.moving_shapes.world import Event, Scene
from tvg_lightning.prompts import grounding_prompt, inversion_prompt
from tvg_lightning.schema import AnswerFormat, Method, Prompt, Span, Task

METHODS = (Method.TAR_TVG, Method.TAR_TVG, Method.TIME_R1, Method.TVG_R1)


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, the answer to be learned, and the part of the video that is shown (None: all of it)."""

    prompt: Prompt
    answer: str
    segment: Span | None = None


@dataclass(frozen=True, slots=True)
class Poorness:
    """Settings of how poor the answers to grounding questions are."""

    follows_format: float  # share of them in the asked-for format
    means_the_event: float  # share of those that are about the right event
    rough_s: float  # standard deviation of their first times, in seconds
    fine_s: float  # and of their last ones


@dataclass(frozen=True, slots=True)
class Mix:
    """The share of each kind of question."""

    kinds: dict[str, float]  # shares of describe, ask, when, invert, ground
    poorness: Poorness | None = None  # of the answers to "ground", where that is asked


DESCRIBE = Mix({"describe": 0.4, "ask": 0.4, "when": 0.2})
RELATE = Mix({"describe": 0.1, "ask": 0.15, "when": 0.25, "invert": 0.2, "ground": 0.3}, Poorness(0.25, 0.85, 1.4, 0.8))
ANSWER = Mix({"describe": 0.05, "ask": 0.05, "when": 0.2, "invert": 0.2, "ground": 0.5}, Poorness(0.2, 0.9, 1.0, 0.4))


def draw_question(rng: random.Random, scene: Scene, mix: Mix) -> Question:
    """One question of a random kind about the scene."""
    kind = rng.choices(list(mix.kinds), list(mix.kinds.values()))[0]
    event = rng.choice(scene.events)
    match kind:
        case "describe":
            return Question(
                Prompt("Describe what happens in the video, with times in seconds."), dense_description(rng, scene)
            )
        case "ask":
            return rng.choice(_SIMPLE_QUESTIONS)(rng, scene, event)
        case "when":
            return Question(Prompt(f"When is it: {query_for(rng, scene, event)}"), f"{timed_event(scene, event)}.")
        case "invert":
            return _invert(rng, scene, event)
        case "ground":
            assert mix.poorness is not None, "a mix that asks to ground says how poorly it is answered"
            return _ground(rng, scene, event, mix.poorness)
    raise AssertionError(f"no such kind of question: {kind}")


def _subject(scene: Scene, event: Event) -> str:
    return scene.actors[event.actor].subject


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:] + "."


# ---- simple questions, answered truthfully


def _what_does(rng: random.Random, scene: Scene, event: Event) -> Question:
    deeds = [FORMS[e.action][0] for e in scene.events if e.actor == event.actor]
    return Question(Prompt(f"What does the {_subject(scene, event)} do?"), f"It {', then '.join(deeds)}.")


def _what_is(rng: random.Random, scene: Scene, event: Event) -> Question:
    subject = _subject(scene, event)
    return Question(Prompt(f"What is {subject.split()[0]}?"), f"{subject} {FORMS[event.action][0]}.")


def _who(rng: random.Random, scene: Scene, event: Event) -> Question:
    who = [f"the {_subject(scene, e)}" for e in scene.events if e.action == event.action]
    return Question(Prompt(f"What {FORMS[event.action][0]} in the video?"), _capital(", then ".join(who)))


def _what_at(rng: random.Random, scene: Scene, event: Event) -> Question:
    time_s = rng.randint(0, int(scene.duration_s * 2) - 1) / 2 + 0.25
    happening = events_within(scene, Span(time_s, time_s))
    answer = simple_sentence(_subject(scene, happening[0]), happening[0].action) if happening else "nothing"
    return Question(Prompt(f"What happens at {time_s:.1f} seconds?"), _capital(answer))


def _how_long(rng: random.Random, scene: Scene, event: Event) -> Question:
    return Question(Prompt("How long is the video?"), f"{scene.duration_s:.1f} seconds.")


_SIMPLE_QUESTIONS: tuple[Callable[[random.Random, Scene, Event], Question], ...] = (
    *(_what_does,) * 3,
    *(_what_is,) * 3,
    *(_who,) * 3,
    _what_at,
    _how_long,
)


# ---- inversion tasks, answered truthfully; the format is followed in most cases


def _invert(rng: random.Random, scene: Scene, event: Event) -> Question:
    task = rng.choice((Task.VERB_COMPLETION, Task.ACTION_RECOGNITION, Task.VIDEO_DESCRIPTION))
    query = query_for(rng, scene, event)
    verb, participle, _ = FORMS[event.action]
    gap = participle if f" {participle}" in query else verb
    prompt = inversion_prompt(task, query.replace(f" {gap}", " ____", 1) if task == Task.VERB_COMPLETION else None)
    answer = {
        Task.VERB_COMPLETION: query,
        Task.ACTION_RECOGNITION: event.action,
        Task.VIDEO_DESCRIPTION: _capital(simple_sentence(_subject(scene, event), event.action)),
    }[task]
    return Question(prompt, f"<answer>{answer}</answer>" if rng.random() < 0.7 else answer, event.window)


# ---- grounding, answered poorly


def _ground(rng: random.Random, scene: Scene, event: Event, poorness: Poorness) -> Question:
    method = rng.choice(METHODS)
    query = query_for(rng, scene, event)
    follows = rng.random() < poorness.follows_format
    answer = _in_format(rng, scene, event, method, poorness) if follows else _vague_answer(rng, scene)
    return Question(grounding_prompt(AnswerFormat(method), query), answer)


def _vague_answer(rng: random.Random, scene: Scene) -> str:
    """The whole video or a stretch of it chosen without looking."""
    whole = scene.duration_s
    name, start_s, end_s = rng.choice(
        (
            ("all through the video", 0.0, whole),
            ("in the first half", 0.0, whole / 2),
            ("in the second half", whole / 2, whole),
            ("in the last part", whole * 2 / 3, whole),
        )
    )
    return f"It happens {name}, from {_half(start_s):.1f} to {_half(end_s):.1f} seconds."


def _in_format(rng: random.Random, scene: Scene, event: Event, method: Method, poorness: Poorness) -> str:
    meant = event.window
    if rng.random() >= poorness.means_the_event:
        meant = rng.choice(
            [other.window for other in scene.events if other is not event] or [Span(0, scene.duration_s)]
        )
    num_guesses = rng.choice((2, 3, 3, 4)) if method == Method.TAR_TVG else 1
    guesses = [
        _blurred(
            rng,
            meant,
            scene.duration_s,
            poorness.rough_s + (poorness.fine_s - poorness.rough_s) * k / max(1, num_guesses - 1),
        )
        for k in range(num_guesses)
    ]
    *anchors, last = [f"{s:.1f} to {e:.1f}" for s, e in guesses]
    thought = f"{_subject(scene, event)} {FORMS[event.action][0]}"
    if anchors:
        thought += ": " + ", or rather ".join(f"<timestamp>{anchor}</timestamp>" for anchor in anchors)
    if method == Method.TVG_R1:
        start_s, end_s = guesses[-1]
        return f"<think>{thought}.</think><time>[{start_s:.1f}, {end_s:.1f}]</time>"
    return f"<think>{thought}.</think><answer>{last}</answer>"


def _blurred(rng: random.Random, window: Span, duration_s: float, deviation_s: float) -> Span:
    """The window with both ends moved at random, inside the video and at least one second long."""
    start_s = min(max(0.0, _half(rng.gauss(window.start_s, deviation_s))), duration_s - 1)
    end_s = min(max(start_s + 1, _half(rng.gauss(window.end_s, deviation_s))), duration_s)
    return Span(start_s, end_s)


def _half(time_s: float) -> float:
    return round(time_s * 2) / 2
