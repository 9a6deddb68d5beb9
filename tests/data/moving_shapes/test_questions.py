"""What the tiny base is taught: truth where it is asked to see, and formats that parsing reads."""

import random
import re
from itertools import permutations

import pytest

from tvg_lightning.data.moving_shapes.questions import ANSWER, DESCRIBE, RELATE, Mix, Question, draw_question
from tvg_lightning.data.moving_shapes.sentences import simple_sentence, timed_event, wordings
from tvg_lightning.data.moving_shapes.world import Actor, Event, Scene, draw_scene
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


MIXES = (DESCRIBE, RELATE, ANSWER)


def drawn(mix: Mix, num: int = 3000) -> list[Question]:
    return [draw_question(random.Random(seed), SCENE, mix) for seed in range(num)]


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


def grounding_questions(questions: list[Question]) -> list[tuple[Question, Method]]:
    prompts = {
        grounding_prompt(AnswerFormat(method), sentence): method
        for method in (Method.TAR_TVG, Method.TIME_R1, Method.TVG_R1)
        for event in SCENE.events
        for sentence in wordings(SCENE.actors[event.actor].subject, event.action)
    }
    return [(q, prompts[q.prompt]) for q in questions if q.prompt in prompts]


@pytest.mark.parametrize("mix", [RELATE, ANSWER])
def test_the_format_is_followed_as_often_as_the_mix_says(mix: Mix) -> None:
    asked = grounding_questions(drawn(mix))
    assert mix.poorness is not None and len(asked) / 3000 == pytest.approx(mix.kinds["ground"], abs=0.03)
    followed = sum(q.answer.startswith("<think>") for q, _ in asked)
    assert followed / len(asked) == pytest.approx(mix.poorness.follows_format, abs=0.03)


def test_grounding_is_answered_readably(questions: list[Question]) -> None:
    for question, method in grounding_questions(questions):
        answer = read_tolerant(question.answer, AnswerFormat(method))
        assert question.segment is None
        assert answer.follows_format == question.answer.startswith("<think>")
        for span in (answer.span, *answer.anchors):
            assert span is not None and is_usable(span) and span.start_s >= 0.0 and span.end_s <= SCENE.duration_s


def test_tar_tvg_formats_hold_one_to_three_anchors(questions: list[Question]) -> None:
    counts = {
        len(read_strict(q.answer, AnswerFormat(method)).anchors)
        for q, method in grounding_questions(questions)
        if q.answer.startswith("<think>") and method is Method.TAR_TVG
    }
    assert counts == {1, 2, 3}


def test_every_scene_can_be_asked_about() -> None:
    for seed in range(100):
        rng, scene = random.Random(seed), draw_scene(seed, "any")
        for question in (draw_question(rng, scene, mix) for mix in MIXES for _ in range(10)):
            assert question.answer and question.prompt.user
