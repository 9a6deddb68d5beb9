import re

import pytest

from tvg_lightning.parsing import read_inverted, read_strict
from tvg_lightning.prompts import grounding_prompt, inversion_prompt
from tvg_lightning.schema import Method, Prompt, Span, Task

INVERSIONS = [Task.VERB_COMPLETION, Task.ACTION_RECOGNITION, Task.VIDEO_DESCRIPTION]


def words(prompt: Prompt) -> list[str]:
    return f"{prompt.system or ''} {prompt.user}".split()


@pytest.mark.parametrize("method", list(Method))
def test_grounding_prompts_are_short_and_hold_the_query_once(method: Method) -> None:
    prompt = grounding_prompt(method, "  The red circle\nrises. ")
    assert prompt.user.count("The red circle rises") == 1
    assert "rises." not in prompt.user
    assert 30 <= len(words(prompt)) <= 60


@pytest.mark.parametrize("method", list(Method))
def test_an_answer_built_from_the_prompts_examples_is_well_formed(method: Method) -> None:
    prompt = grounding_prompt(method, "q")
    text = f"{prompt.system or ''} {prompt.user}"
    anchors = re.findall(r"<timestamp>[^<]+</timestamp>", text)
    (final,) = re.findall(r"<answer>[^<]+</answer>|<time>\[[^<]+</time>", text)
    assert "<think>" in text
    assert bool(anchors) == (method is Method.TAR_TVG)
    answer = read_strict(f"<think>{' '.join(anchors)}</think>{final}", method)
    assert answer.well_formed
    expected = {Method.TAR_TVG: Span(12.5, 15.0)}.get(method, Span(12.0, 15.5))
    assert answer.span == expected


def test_only_tvg_r1_has_a_system_turn() -> None:
    assert [method for method in Method if grounding_prompt(method, "q").system] == [Method.TVG_R1]
    assert grounding_prompt(Method.TVG_R1, "q").user == "q"


@pytest.mark.parametrize("task", INVERSIONS)
def test_inversion_prompts_ask_for_the_answer_alone(task: Task) -> None:
    prompt = inversion_prompt(task, "the red circle ____.")
    assert "<think>" not in prompt.user
    (example,) = re.findall(r"<answer>[^<]+</answer>", prompt.user)
    assert read_inverted(example) is not None
    assert ("____" in prompt.user) == (task is Task.VERB_COMPLETION)
    assert len(words(prompt)) <= 60


def test_braces_in_a_query_are_just_characters() -> None:
    assert "{x} {0}" in grounding_prompt(Method.TAR_TVG, "{x} {0}").user


def test_misuse_is_caught() -> None:
    with pytest.raises(AssertionError, match="without a verb"):
        inversion_prompt(Task.VERB_COMPLETION)
    with pytest.raises(AssertionError):
        inversion_prompt(Task.TVG, "the red circle ____.")
