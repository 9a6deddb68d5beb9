"""Questions about a scene with their answers, on which the tiny policy's base is trained.

It learns to see and to look up, truthfully: what happens, all times of a deed, the next time after a given one, which
of several times a query means (half of the time at once, half of it step by step, after all times of what is named),
and inversion tasks. It learns to know the prompts of the methods, but not to answer them: asked in their words for a
window it mostly gives a vague one, and now and then follows the asked-for format, with times that are blurred. Where a
deed is done several times, three in ten of these answers are about another time, whatever the thought before them
states. Like the published base models, it knows more than it says, and leaves something to reinforce.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvg_lightning.data.moving_shapes.kinds import Asked, AskedScene
from tvg_lightning.data.moving_shapes.queries import Deed, Query, deed_of, query_wordings, true_windows
from tvg_lightning.data.moving_shapes.sentences import (
    FORMS,
    dense_description,
    events_within,
    query_for,
    simple_sentence,
    wordings,
)
from tvg_lightning.data.moving_shapes.world import Event, Scene
from tvg_lightning.prompts import grounding_prompt, inversion_prompt
from tvg_lightning.schema import AnswerFormat, Method, Prompt, Span, Task

FORMS_ASKED = (
    *(AnswerFormat(Method.TAR_TVG),) * 3,
    *(AnswerFormat(Method.TIME_R1),) * 3,
    *(AnswerFormat(Method.TIME_R1, thought=False),) * 2,
    AnswerFormat(Method.TVG_R1),
    *(AnswerFormat(Method.TIMELENS2),) * 2,
)


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
    means_the_time: float = 0.6  # share of the rest that mean the right time of several, where none is stated


@dataclass(frozen=True, slots=True)
class Mix:
    """The share of each kind of question."""

    kinds: dict[str, float]  # shares of describe, ask, when, which, invert, ground
    poorness: Poorness | None = None  # of the answers to "ground", where that is asked


DESCRIBE = Mix({"describe": 0.25, "ask": 0.3, "when": 0.45})
RELATE = Mix(
    {"describe": 0.05, "ask": 0.1, "when": 0.45, "invert": 0.15, "ground": 0.25}, Poorness(0.25, 0.85, 1.4, 0.8)
)
REASON = Mix(
    {"ask": 0.05, "when": 0.25, "which": 0.45, "invert": 0.1, "ground": 0.15}, Poorness(0.2, 0.9, 1.0, 0.4, 0.7)
)
ANSWER = Mix({"when": 0.15, "which": 0.25, "invert": 0.15, "ground": 0.45}, Poorness(0.2, 0.9, 1.0, 0.4, 0.7))
STATED = 0.5  # of the thoughts in the format: they state all times of what is named, and which of them is meant
AT_ONCE, STEP_BY_STEP = "Which time, at once:", "Which time, step by step:"
TWO_LOOKS = ("ordinal", "relation")


def draw_question(rng: random.Random, drawn: AskedScene, mix: Mix) -> Question:
    """One question of a random kind about the scene."""
    kind = rng.choices(list(mix.kinds), list(mix.kinds.values()))[0]
    scene = drawn.scene
    event = rng.choice(scene.events)
    match kind:
        case "describe":
            return Question(
                Prompt("Describe what happens in the video, with times in seconds."), dense_description(rng, scene)
            )
        case "ask":
            return rng.choice(_SIMPLE_QUESTIONS)(rng, scene, event)
        case "when":
            return _when(rng, drawn, event)
        case "which":
            return _which(rng, drawn)
        case "invert":
            return _invert(rng, scene, event)
        case "ground":
            assert mix.poorness is not None, "a mix that asks to ground says how poorly it is answered"
            return _ground(rng, drawn, rng.choice(drawn.asked), mix.poorness)
    raise AssertionError(f"no such kind of question: {kind}")


def _subject(scene: Scene, event: Event) -> str:
    return scene.actors[event.actor].subject


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:] + "."


# ---- when something is, answered truthfully


def _when(rng: random.Random, drawn: AskedScene, event: Event) -> Question:
    """All times of a deed, or the next one after or the last one before a time; some deeds are never done."""
    scene = drawn.scene
    in_vain = [Deed(asked.query.subject, asked.query.action) for asked in drawn.asked if not asked.windows]
    deed = rng.choice(in_vain) if in_vain and rng.random() < 0.5 else deed_of(scene, event)
    windows = true_windows(scene, Query("every", *deed))
    query = rng.choice(wordings(*deed))
    if rng.random() < 0.6:
        return Question(Prompt(f"When is it: {query}"), f"{timed(deed, windows)}.")
    edge = rng.choice(scene.events).window
    if rng.random() < 0.5:
        asked, found = f"after {edge.end_s:.1f}", [w for w in windows if w.start_s >= edge.end_s][:1]
    else:
        asked, found = f"before {edge.start_s:.1f}", [w for w in windows if w.end_s <= edge.start_s][-1:]
    return Question(Prompt(f"When is it {asked} seconds: {query}"), f"{timed(deed, found)}.")


def _which(rng: random.Random, drawn: AskedScene) -> Question:
    """The time that a query means, half of the time at once and half after all times of what it names."""
    asked = rng.choice(drawn.asked)
    words = rng.choice(query_wordings(asked.query))
    found = _times(asked.windows)
    if rng.random() < 0.5:
        return Question(Prompt(f"{AT_ONCE} {words}"), f"{found}.")
    return Question(Prompt(f"{STEP_BY_STEP} {words}"), f"{_stated(drawn.scene, asked.query)}, so {found}.")


def _stated(scene: Scene, query: Query) -> str:
    """All times of the deeds that a query names."""
    return ", ".join(timed(deed, true_windows(scene, Query("every", *deed))) for deed in _deeds(query))


def _deeds(query: Query) -> list[Deed]:
    """The deeds that a query names, the other one first."""
    return ([] if query.other is None else [query.other]) + [Deed(query.subject, query.action)]


def _times(windows: Sequence[Span]) -> str:
    return " and ".join(f"{start_s:.1f} to {end_s:.1f}" for start_s, end_s in windows) or "never"


def timed(deed: Deed, windows: Sequence[Span]) -> str:
    """A deed with its windows: "red circle rises: 2.0 to 5.5 and 9.0 to 12.5"."""
    return f"{deed.subject} {FORMS[deed.action][0]}: {_times(windows)}"


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
    answer = " and ".join(simple_sentence(_subject(scene, one), one.action) for one in happening) or "nothing"
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


def _ground(rng: random.Random, drawn: AskedScene, asked: Asked, poorness: Poorness) -> Question:
    forms = [form for form in FORMS_ASKED if form.says_sets or len(asked.windows) == 1]
    form = rng.choice(forms)
    words = rng.choice(query_wordings(asked.query))
    follows = rng.random() < poorness.follows_format
    answer = _in_format(rng, drawn.scene, asked, form, poorness) if follows else _vague_answer(rng, drawn.scene)
    return Question(grounding_prompt(form, words), answer)


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


def _in_format(rng: random.Random, scene: Scene, asked: Asked, form: AnswerFormat, poorness: Poorness) -> str:
    is_stated = form.has_thought and rng.random() < STATED
    windows = _meant(rng, scene, asked, poorness, is_stated)
    if form.says_sets:
        blurred = [_blurred(rng, window, scene.duration_s, poorness.fine_s) for window in windows]
        return "[" + ", ".join(f"[{start_s:.1f}, {end_s:.1f}]" for start_s, end_s in blurred) + "]"
    *anchors, last = _guesses(rng, windows[0], scene.duration_s, form, poorness)
    if not form.has_thought:
        return f"<answer>{_times([last])}</answer>"
    thought = _thought(scene, asked.query, windows[0] if is_stated else None, anchors)
    if form.method is Method.TVG_R1:
        return f"<think>{thought}.</think><time>[{last.start_s:.1f}, {last.end_s:.1f}]</time>"
    return f"<think>{thought}.</think><answer>{_times([last])}</answer>"


def _thought(scene: Scene, query: Query, chosen: Span | None, anchors: Sequence[Span]) -> str:
    """The deeds that the query names; with a chosen time, all their times and that one. Anchors stand behind."""
    refined = ", or rather ".join(f"<timestamp>{_times([anchor])}</timestamp>" for anchor in anchors)
    if chosen is not None:
        return f"{_stated(scene, query)}, so {refined or _times([chosen])}"
    return f"{_named(query)}: {refined}" if refined else _named(query)


def _guesses(rng: random.Random, meant: Span, duration_s: float, form: AnswerFormat, poorness: Poorness) -> list[Span]:
    """The answer, and before it the anchors of a format that has them, from rough to fine."""
    num = rng.choice((2, 3, 3, 4)) if form.method is Method.TAR_TVG else 1
    finer_s = (poorness.fine_s - poorness.rough_s) / max(1, num - 1)
    return [_blurred(rng, meant, duration_s, poorness.rough_s + k * finer_s) for k in range(num)]


def _meant(rng: random.Random, scene: Scene, asked: Asked, poorness: Poorness, is_stated: bool) -> tuple[Span, ...]:
    """The right windows; or, where two looks are needed, another time of the same deed; or something else."""
    if rng.random() >= poorness.means_the_event:
        others = [event.window for event in scene.events if event.window not in asked.windows]
        return (rng.choice(others or [Span(0, scene.duration_s)]),)
    if asked.query.kind in TWO_LOOKS and not is_stated and rng.random() >= poorness.means_the_time:
        windows = true_windows(scene, Query("every", asked.query.subject, asked.query.action))
        return (rng.choice([window for window in windows if window not in asked.windows]),)
    return asked.windows


def _named(query: Query) -> str:
    """The deeds that a query names, the other one first: "blue cross rises and red circle spins"."""
    return " and ".join(f"{deed.subject} {FORMS[deed.action][0]}" for deed in _deeds(query))


def _blurred(rng: random.Random, window: Span, duration_s: float, deviation_s: float) -> Span:
    """The window with both ends moved at random, inside the video and at least one second long."""
    start_s = min(max(0.0, _half(rng.gauss(window.start_s, deviation_s))), duration_s - 1)
    end_s = min(max(start_s + 1, _half(rng.gauss(window.end_s, deviation_s))), duration_s)
    return Span(start_s, end_s)


def _half(time_s: float) -> float:
    return round(time_s * 2) / 2
