"""What the tiny base is taught: truth where it is asked to see, and formats that parsing reads."""

import random
import re
from itertools import permutations

import pytest

from tvg_lightning.data.moving_shapes.kinds import Asked, AskedScene, draw_scene_for
from tvg_lightning.data.moving_shapes.queries import KINDS, Deed, Kind, Query, deed_of, query_wordings, true_windows
from tvg_lightning.data.moving_shapes.questions import (
    ANSWER,
    AT_ONCE,
    DESCRIBE,
    FORMS_ASKED,
    REASON,
    RELATE,
    STATED,
    STEP_BY_STEP,
    Mix,
    Poorness,
    Question,
    draw_question,
    timed,
)
from tvg_lightning.data.moving_shapes.sentences import FORMS, simple_sentence, timed_event, wordings
from tvg_lightning.data.moving_shapes.world import Actor, Event, Scene
from tvg_lightning.parsing import read_inverted, read_strict, read_tolerant
from tvg_lightning.prompts import grounding_prompt, inversion_prompt
from tvg_lightning.schema import AnswerFormat, Method, Span, Task
from tvg_lightning.spans import is_usable
from tvg_lightning.tasks.verbs import remove_first_verb, verb_lemmas

SCENE = Scene(
    seed=0,
    duration_s=14.0,
    fps=8.0,
    background=(20, 20, 20),
    noise=0.0,
    actors=(Actor("red", "circle", 56, 56, 24), Actor("blue", "cross", 56, 56, 24)),
    distractors=(),
    events=(
        Event(0, "rise", Span(1.0, 4.0), 1),
        Event(1, "rise", Span(5.0, 8.0), 1),
        Event(0, "shake", Span(9.0, 12.5), 1),
    ),
)
DRAWN = AskedScene(
    SCENE, tuple(Asked(Query("plain", *deed_of(SCENE, event)), (event.window,)) for event in SCENE.events)
)
TRUE_ANSWERS = {
    "Describe what happens in the video, with times in seconds.": {
        f"Seen: {', '.join(order)}." for order in permutations(timed_event(SCENE, e) for e in SCENE.events)
    },
    "What is red?": {"red circle rises.", "red circle shakes."},
    "What is blue?": {"blue cross rises."},
    "What does the red circle do?": {"It rises, then shakes."},
    "What does the blue cross do?": {"It rises."},
    "What rises in the video?": {"The red circle, then the blue cross."},
    "What shakes in the video?": {"The red circle."},
    "How long is the video?": {"14.0 seconds."},
    **{
        f"When is it: {query}": {f"{said}: {times}."}
        for subject, action, said, times in (
            ("red circle", "rise", "red circle rises", "1.0 to 4.0"),
            ("blue cross", "rise", "blue cross rises", "5.0 to 8.0"),
            ("red circle", "shake", "red circle shakes", "9.0 to 12.5"),
        )
        for query in wordings(subject, action)
    },
}


MIXES = (DESCRIBE, RELATE, REASON, ANSWER)


def drawn(mix: Mix, num: int = 3000) -> list[Question]:
    return [draw_question(random.Random(seed), DRAWN, mix) for seed in range(num)]


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    return [question for mix in MIXES for question in drawn(mix)]


def test_a_question_follows_from_the_generator(questions: list[Question]) -> None:
    assert [question for mix in MIXES for question in drawn(mix)] == questions


@pytest.mark.parametrize("mix", MIXES)
def test_shares_are_whole_and_only_what_is_grounded_is_answered_poorly(mix: Mix) -> None:
    assert sum(mix.kinds.values()) == pytest.approx(1.0)
    assert ("ground" in mix.kinds) == (mix.poorness is not None)


def test_simple_questions_are_answered_truthfully(questions: list[Question]) -> None:
    given: dict[str, set[str]] = {}
    for question in questions:
        if question.prompt.user in TRUE_ANSWERS:
            given.setdefault(question.prompt.user, set()).add(question.answer)
            assert question.segment is None
    assert given == {words: TRUE_ANSWERS[words] for words in given}
    assert len(given) > 20 and set(list(TRUE_ANSWERS)[:8]) <= set(given)


def test_what_happens_at_a_time(questions: list[Question]) -> None:
    asked = 0
    for question in questions:
        match = re.fullmatch(r"What happens at (.+) seconds\?", question.prompt.user)
        if match:
            time_s, asked = float(match[1]), asked + 1
            # 12.25 is asked as 12.2: within the half second, so the answer is the same
            events = [e for e in SCENE.events if e.window.start_s < time_s < e.window.end_s]
            words = simple_sentence(SCENE.actors[events[0].actor].subject, events[0].action) if events else "nothing"
            assert question.answer.lower() == f"{words}."
    assert asked > 50


def test_inversions_show_the_event_and_name_its_action(questions: list[Question]) -> None:
    tasks = set()
    for question in questions:
        if question.segment is None:
            continue
        (event,) = (e for e in SCENE.events if e.window == question.segment)
        content = read_inverted(question.answer) or question.answer
        sentences = wordings(SCENE.actors[event.actor].subject, event.action)
        if content in sentences:
            tasks.add(Task.VERB_COMPLETION)
            assert question.prompt in [
                inversion_prompt(Task.VERB_COMPLETION, remove_first_verb(content)),  # as at training and test
                inversion_prompt(Task.VIDEO_DESCRIPTION),  # the plainest wording is a description as well
            ]
        elif question.prompt == inversion_prompt(Task.ACTION_RECOGNITION):
            tasks.add(Task.ACTION_RECOGNITION)
            assert content == event.action
        else:
            tasks.add(Task.VIDEO_DESCRIPTION)
            assert question.prompt == inversion_prompt(Task.VIDEO_DESCRIPTION)
            assert verb_lemmas(content) == (event.action,)
    assert tasks >= {Task.VERB_COMPLETION, Task.ACTION_RECOGNITION}


def grounding_questions(questions: list[Question]) -> list[tuple[Question, AnswerFormat]]:
    prompts = {
        grounding_prompt(form, sentence): form
        for form in FORMS_ASKED
        for event in SCENE.events
        for sentence in wordings(SCENE.actors[event.actor].subject, event.action)
    }
    return [(q, prompts[q.prompt]) for q in questions if q.prompt in prompts]


@pytest.mark.parametrize("mix", [RELATE, REASON, ANSWER])
def test_the_format_is_followed_as_often_as_the_mix_says(mix: Mix) -> None:
    asked = grounding_questions(drawn(mix))
    assert mix.poorness is not None and len(asked) / 3000 == pytest.approx(mix.kinds["ground"], abs=0.03)
    followed = sum(read_strict(q.answer, form).follows_format for q, form in asked)
    assert followed / len(asked) == pytest.approx(mix.poorness.follows_format, abs=0.05)


def test_grounding_is_answered_readably(questions: list[Question]) -> None:
    for question, form in grounding_questions(questions):
        answer = read_tolerant(question.answer, form)
        assert question.segment is None and answer.spans
        for span in (*answer.spans, *answer.anchors):
            assert is_usable(span) and span.start_s >= 0.0 and span.end_s <= SCENE.duration_s


def test_tar_tvg_formats_hold_one_to_three_anchors(questions: list[Question]) -> None:
    answers = [
        read_strict(q.answer, form) for q, form in grounding_questions(questions) if form.method is Method.TAR_TVG
    ]
    assert {len(answer.anchors) for answer in answers if answer.follows_format} == {1, 2, 3}


@pytest.mark.parametrize("kind", ["plain", "ordinal", "relation"])
def test_half_of_the_thoughts_state_the_times_and_then_mean_the_right_one(kind: Kind) -> None:
    mix = Mix({"ground": 1.0}, Poorness(1.0, 1.0, 0.0, 0.0, 0.0))
    stated = []
    for seed in range(600):
        drawn = draw_scene_for(kind, seed)
        answer = draw_question(random.Random(seed), drawn, mix).answer
        if answer.startswith("<think>"):
            deeds = [deed_of(drawn.scene, event) for event in drawn.scene.events]
            windows = {timed(deed, true_windows(drawn.scene, Query("every", *deed))) for deed in deeds}
            parts = answer.removeprefix("<think>").split(", so ")[0].split(", ")
            stated.append(", so " in answer)
            assert not stated[-1] or set(parts) <= windows
            (span,) = read_tolerant(answer, AnswerFormat(Method.TIME_R1)).spans or [None]
            means_a_true_one = any(a.windows == (span,) for a in drawn.asked)
            assert means_a_true_one or not stated[-1]
    assert sum(stated) / len(stated) == pytest.approx(STATED, abs=0.06)


@pytest.mark.parametrize(("kind", "share"), [("plain", 1.0), ("look_alike", 1.0), ("ordinal", 0.6), ("relation", 0.6)])
def test_two_looks_are_answered_right_less_often(kind: Kind, share: float) -> None:
    """What is meant instead is another time of the same deed."""
    mix, form = Mix({"ground": 1.0}, Poorness(1.0, 1.0, 0.0, 0.0)), AnswerFormat(Method.TIME_R1, thought=False)
    right = []
    for seed in range(1500):
        rng, drawn = random.Random(seed), draw_scene_for(kind, seed)
        question = draw_question(rng, drawn, mix)
        prompts = [(a, grounding_prompt(form, words)) for a in drawn.asked for words in query_wordings(a.query)]
        asked = [a for a, prompt in prompts if prompt == question.prompt]
        if asked:
            spans = read_strict(question.answer, form).spans
            right.append(spans == asked[0].windows)
            deed = (asked[0].query.subject, asked[0].query.action)
            assert spans is not None and set(spans) <= set(true_windows(drawn.scene, Query("every", *deed)))
    assert len(right) > 150 and sum(right) / len(right) == pytest.approx(share, abs=0.08)


def test_when_something_is_next_is_answered_truthfully(questions: list[Question]) -> None:
    seen = set()
    for question in questions:
        match = re.fullmatch(r"When is it (after|before) (.+) seconds: .*", question.prompt.user)
        if match:
            seen.add((match[1], match[2], question.answer))
    assert ("after", "4.0", "blue cross rises: 5.0 to 8.0.") in seen
    assert ("before", "9.0", "red circle rises: 1.0 to 4.0.") in seen
    assert ("after", "8.0", "red circle rises: never.") in seen
    assert all(
        edge in {"4.0", "8.0", "12.5"} if word == "after" else edge in {"1.0", "5.0", "9.0"} for word, edge, _ in seen
    )


def test_what_is_absent_is_asked_in_a_format_that_can_say_so() -> None:
    mix = Mix({"ground": 1.0}, Poorness(1.0, 1.0, 0.0, 0.0))
    for seed in range(200):
        question = draw_question(random.Random(seed), draw_scene_for("absent", seed), mix)
        answer = read_strict(question.answer, AnswerFormat(Method.TIMELENS2))
        assert answer.follows_format and answer.spans is not None and len(answer.spans) <= 1


@pytest.mark.parametrize("kind", ["plain", "ordinal", "relation", "every", "absent"])
def test_which_time_is_meant_is_told_truthfully_at_once_and_step_by_step(kind: Kind) -> None:
    starts = []
    for seed in range(200):
        drawn = draw_scene_for(kind, seed)
        question = draw_question(random.Random(seed), drawn, Mix({"which": 1.0}))
        asked = [
            a for a in drawn.asked for words in query_wordings(a.query) if question.prompt.user.endswith(f": {words}")
        ]
        times = " and ".join(f"{start_s} to {end_s}" for start_s, end_s in asked[0].windows) or "never"
        starts.append(question.prompt.user.split(":")[0] + ":")
        if starts[-1] == AT_ONCE:
            assert question.answer == f"{times}."
        else:
            stated, found = question.answer.split(", so ")
            assert found == f"{times}."
            deeds = [Deed(asked[0].query.subject, asked[0].query.action)]
            deeds = ([asked[0].query.other] if asked[0].query.other else []) + deeds
            assert stated == ", ".join(timed(d, true_windows(drawn.scene, Query("every", *d))) for d in deeds)
    assert set(starts) == {AT_ONCE, STEP_BY_STEP} and starts.count(AT_ONCE) / 200 == pytest.approx(0.5, abs=0.1)


def test_what_never_happens_is_said_so() -> None:
    mix = Mix({"when": 1.0})
    never = 0
    for seed in range(300):
        drawn = draw_scene_for("absent", seed)
        question = draw_question(random.Random(seed), drawn, mix)
        deed = question.answer.split(":")[0]
        in_vain = {f"{a.query.subject} {FORMS[a.query.action][0]}" for a in drawn.asked}
        if deed in in_vain:
            never += 1
            assert question.answer == f"{deed}: never."
    assert never / 300 == pytest.approx(0.5, abs=0.08)


def test_every_scene_can_be_asked_about() -> None:
    for seed in range(210):
        rng, drawn = random.Random(seed), draw_scene_for(KINDS[seed % len(KINDS)], seed, "any")
        for question in (draw_question(rng, drawn, mix) for mix in MIXES for _ in range(10)):
            assert question.answer and question.prompt.user
