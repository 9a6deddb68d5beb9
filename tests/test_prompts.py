import json
import re
from pathlib import Path

import pytest

from tvg_lightning.parsing import read_inverted, read_strict
from tvg_lightning.prompts import CleanQuery, grounding_prompt, inversion_prompt, read_templates, templates_of
from tvg_lightning.schema import AnswerFormat, Method, Prompt, Span, Task

TAR_TVG = AnswerFormat(Method.TAR_TVG)
TIME_R1 = AnswerFormat(Method.TIME_R1)
TVG_R1 = AnswerFormat(Method.TVG_R1)

EXAMPLE = r"<answer>[^<]+</answer>|\[\[.*?\]\]|The event happens in [^.]+\.[^.]+\.\d seconds|<time>.+</time>"
INVERSIONS = [Task.VERB_COMPLETION, Task.ACTION_RECOGNITION, Task.VIDEO_DESCRIPTION]


def words(prompt: Prompt) -> list[str]:
    return f"{prompt.system or ''} {prompt.user}".split()


@pytest.mark.parametrize("method", list(Method))
def test_grounding_prompts_are_short_and_hold_the_query_once(method: Method) -> None:
    prompt = grounding_prompt(AnswerFormat(method), "  The red circle\nrises. ")
    assert prompt.user.count("The red circle rises") == 1
    assert "rises." not in prompt.user
    assert 30 <= len(words(prompt)) <= 75


@pytest.mark.parametrize("thought", [True, False])
@pytest.mark.parametrize("method", list(Method))
def test_an_answer_built_from_the_prompts_examples_is_in_its_format(method: Method, thought: bool) -> None:
    form = AnswerFormat(method, thought)
    prompt = grounding_prompt(form, "q")
    text = f"{prompt.system or ''} {prompt.user}"
    anchors = re.findall(r"<timestamp>[^<]+</timestamp>", text)
    assert ("<think>" in text) == thought and bool(anchors) == (thought and method is Method.TAR_TVG)
    if method is Method.TVG_R1:  # the paper's words describe the format without an example
        assert "[start time, end time] in seconds" in text and "<time> </time>" in text
        example = ["<time>[12.0, 15.5]</time>"]
    else:
        example = re.findall(EXAMPLE, text)
    (final,) = example
    answer = read_strict(f"<think>{' '.join(anchors)}</think>{final}" if thought else final, form)
    assert answer.follows_format
    if form.says_sets:
        assert answer.spans == (Span(12.0, 15.5), Span(20.0, 24.5))
        assert ("if it does not happen" in text) == form.says_none
    else:
        assert answer.span in (Span(12.5, 15.0) if anchors else Span(12.0, 15.5), Span(12.0, 15.0))


def test_only_tvg_r1_has_a_system_turn() -> None:
    assert [method for method in Method if grounding_prompt(AnswerFormat(method), "q").system] == [Method.TVG_R1]
    assert grounding_prompt(TVG_R1, "q").user == "q"


@pytest.mark.parametrize("task", INVERSIONS)
def test_inversion_prompts_ask_for_the_answer_alone(task: Task) -> None:
    prompt = inversion_prompt(task, "the red circle ____.")
    assert "<think>" not in prompt.user
    (example,) = re.findall(r"<answer>[^<]+</answer>", prompt.user)
    assert read_inverted(example) is not None
    assert ("____" in prompt.user) == (task is Task.VERB_COMPLETION)
    assert len(words(prompt)) <= 60


def test_braces_in_a_query_are_just_characters() -> None:
    assert "{x} {0}" in grounding_prompt(TAR_TVG, "{x} {0}").user


@pytest.mark.parametrize(
    ("raw", "dots", "full_stop"),
    [  # by hand; the second column is what TimeLens's evaluation makes of it
        ("person turn a light on.", "person turn a light on", "person turn a light on"),
        ("  A man   walks\n in. ", "A man walks in", "A man walks in"),
        ("Mr. Smith sits..", "Mr. Smith sits", "Mr. Smith sits."),
        (" .hello. ", "hello", ".hello"),
        ("ends with dots . .", "ends with dots .", "ends with dots ."),
        ('He says "stop."', 'He says "stop."', 'He says "stop."'),
    ],
)
def test_what_is_taken_off_a_query(raw: str, dots: str, full_stop: str) -> None:
    ways: tuple[CleanQuery, ...] = ("dots", "full_stop", "none")
    assert [grounding_prompt(TVG_R1, raw, clean_query=way).user for way in ways] == [dots, full_stop, raw]


def test_queries_are_cleaned_as_by_timelens(shared: Path) -> None:
    path = shared / "data/oracles/timelens_parse_and_score.json"
    for case in json.loads(path.read_text(encoding="utf-8"))["query_cases"]:
        assert grounding_prompt(TVG_R1, case["raw"], clean_query="dots").user == case["clean"]


def test_misuse_is_caught() -> None:
    with pytest.raises(AssertionError, match="without a verb"):
        inversion_prompt(Task.VERB_COMPLETION)
    with pytest.raises(AssertionError):
        inversion_prompt(Task.TVG, "the red circle ____.")


def test_a_file_changes_the_words_it_names_and_no_others(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("tvg: 'Find {query} now'\nsystem: Be brief.\n", encoding="utf-8")
    mine = read_templates(file, TIME_R1)
    assert grounding_prompt(TIME_R1, "it {falls}.", mine) == Prompt("Find it {falls} now", "Be brief.")
    own = templates_of(TIME_R1)
    assert inversion_prompt(Task.VIDEO_DESCRIPTION, None, mine).user == own.video_description


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("tvg: no place for the sentence", "tvg: {query} must stand in it once, not 0"),
        ("verb_completion: '{query} {query}'", "verb_completion: {query} must stand in it once, not 2"),
        ("action_recognition: 'Is it {query}?'", "action_recognition: the query is what must be found out"),
        ("tgv: '{query}'", "tgv: there is no such key; expected texts under some of the keys tvg, system"),
        ("tvg: 3", "tvg: 3 is no text; expected texts"),
        ("tvg: 'When does {event} happen, {query}?'", "tvg: {event} would be put to the policy as it stands"),
        ("tvg: 'When, {query}? Give {}.'", "tvg: {} would be put to the policy as it stands; the sentence's place is"),
        ("tvg: 'When does [EVENT] happen, {query}?'", "tvg: [EVENT] would be put to the policy as it stands"),
        ("system: 'You know {query}.'", "system: {query} would be put to the policy as it stands; the sentence cannot"),
        ("video_description: 'Is it <event>?'", "video_description: <event> would be put to the policy as it stands"),
        ("- tvg", "expected texts"),
        ("tvg: [", "not YAML"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(content: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(str(file))) as refused:
        read_templates(file, TAR_TVG)
    assert complaint in str(refused.value)


def test_words_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "prompts.yaml"
    file.write_text('tvg: "when \\ud83d {query}"', encoding="utf-8")
    with pytest.raises(ValueError, match=r"prompts\.yaml: tvg .* holds what is no text"):
        read_templates(file, TIME_R1)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file of prompts"):
        read_templates(tmp_path / "absent.yaml", TAR_TVG)
