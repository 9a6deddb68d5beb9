import re
from pathlib import Path

import pytest

from tvg_lightning.parsing import read_inverted, read_strict
from tvg_lightning.prompts import grounding_prompt, inversion_prompt, read_templates, templates_of
from tvg_lightning.schema import Method, Prompt, Span, Task

INVERSIONS = [Task.VERB_COMPLETION, Task.ACTION_RECOGNITION, Task.VIDEO_DESCRIPTION]


def words(prompt: Prompt) -> list[str]:
    return f"{prompt.system or ''} {prompt.user}".split()


@pytest.mark.parametrize("method", list(Method))
def test_grounding_prompts_are_short_and_hold_the_query_once(method: Method) -> None:
    prompt = grounding_prompt(method, "  The red circle\nrises. ")
    assert prompt.user.count("The red circle rises") == 1
    assert "rises." not in prompt.user
    assert 30 <= len(words(prompt)) <= 75


@pytest.mark.parametrize("method", list(Method))
def test_an_answer_built_from_the_prompts_examples_is_follows_format(method: Method) -> None:
    prompt = grounding_prompt(method, "q")
    text = f"{prompt.system or ''} {prompt.user}"
    anchors = re.findall(r"<timestamp>[^<]+</timestamp>", text)
    example = re.findall(r"<answer>[^<]+</answer>", text)
    if method is Method.TVG_R1:  # the paper's words describe the format without an example
        assert "[start time, end time] in seconds" in text and "<time> </time>" in text
        example = ["<time>[12.0, 15.5]</time>"]
    (final,) = example
    assert "<think>" in text
    assert bool(anchors) == (method is Method.TAR_TVG)
    answer = read_strict(f"<think>{' '.join(anchors)}</think>{final}", method)
    assert answer.follows_format
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


def test_a_file_changes_the_words_it_names_and_no_others(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("tvg: 'Find {query} now'\nsystem: Be brief.\n", encoding="utf-8")
    mine = read_templates(file, Method.TIME_R1)
    assert grounding_prompt(Method.TIME_R1, "it {falls}.", mine) == Prompt("Find it {falls} now", "Be brief.")
    own = templates_of(Method.TIME_R1)
    assert inversion_prompt(Task.VIDEO_DESCRIPTION, None, mine).user == own.video_description


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("tvg: no place for the sentence", "tvg: {query} must stand in it once, not 0"),
        ("verb_completion: '{query} {query}'", "verb_completion: {query} must stand in it once, not 2"),
        ("action_recognition: 'Is it {query}?'", "action_recognition: the query is what must be found out"),
        ("tgv: '{query}'", "expected texts under some of the keys tvg, system"),
        ("tvg: 3", "expected texts"),
        ("- tvg", "expected texts"),
        ("tvg: [", "not YAML"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(content: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(str(file))) as refused:
        read_templates(file, Method.TAR_TVG)
    assert complaint in str(refused.value)


def test_words_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "prompts.yaml"
    file.write_text('tvg: "when \\ud83d {query}"', encoding="utf-8")
    with pytest.raises(ValueError, match=r"prompts\.yaml: tvg .* holds what is no text"):
        read_templates(file, Method.TIME_R1)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file of prompts"):
        read_templates(tmp_path / "absent.yaml", Method.TAR_TVG)
