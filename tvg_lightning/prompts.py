"""The words put to the policy: short, and exact about the format that parsing expects."""

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final, Literal

import yaml

from tvg_lightning.files import name_text
from tvg_lightning.schema import AnswerFormat, Method, Prompt, Task

_TAR_TVG: Final = (
    'When does this happen in the video: "{query}"? First reason inside <think> </think> about how the video '
    "changes; in it write two estimates in seconds, the second closer than the first, each like "
    "<timestamp>12.0 to 15.5</timestamp>. Then give the final time like <answer>12.5 to 15.0</answer>."
)
_TIME_R1: Final = (
    'When does this happen in the video: "{query}"? First reason inside <think> </think> about what changes '
    "and when. Then give the start and the end in seconds, one decimal each, like "
    "<answer>12.0 to 15.5</answer>. Write nothing else."
)
_TVG_R1_SYSTEM: Final = (
    "You MUST reason based on the temporal changes and visual evidence in the video to determine the precise time "
    "period related to the query. The reasoning MUST reflect how the content evolves over time, not general logic. "
    "The reasoning process MUST BE enclosed within <think> </think> tags. The specific time period MUST BE in the "
    "format [start time, end time] in seconds enclosed within <time> </time> tags."
)

_TIME_R1_ALONE: Final = (
    'When does this happen in the video: "{query}"? Give the start and the end in seconds, one decimal each, like '
    "<answer>12.0 to 15.5</answer>. Write nothing else."
)
_TVG_R1_SYSTEM_ALONE: Final = (
    "Find the precise time period related to the query in the video. Give it in the format [start time, end time] in "
    "seconds enclosed within <time> </time> tags, and write nothing else."
)
_TIMELENS2: Final = (
    'When does this happen in the video: "{query}"? Give every time at which it does as a JSON list of [start, end] in '
    "seconds, one decimal each, like [[12.0, 15.5], [20.0, 24.5]], or [] if it does not happen. Write nothing else."
)
_TIMELENS2_THOUGHT: Final = (
    'When does this happen in the video: "{query}"? First reason inside <think> </think> about what changes and when. '
    "Then give every time at which it happens as a JSON list of [start, end] in seconds, one decimal each, like "
    "[[12.0, 15.5], [20.0, 24.5]], or [] if it does not happen. Write nothing else."
)

_ORA_RL: Final = (
    'When in the video does this happen: "{query}"? Give its start and its end in seconds as "start time to end time" '
    "inside answer tags, like <answer>12 to 15</answer>. Write nothing else."
)
_ORA_RL_THOUGHT: Final = (
    'When in the video does this happen: "{query}"? First reason inside <think> </think> about what changes and when. '
    'Then give its start and its end in seconds as "start time to end time" inside answer tags, like '
    "<answer>12 to 15</answer>. Write nothing else."
)
_TIMELENS: Final = (
    'When does this happen in the video: "{query}"? Answer with its start and its end in one sentence of this form: '
    "The event happens in 12.0 - 15.5 seconds. Write nothing else."
)
_TIMELENS_THOUGHT: Final = (
    'When does this happen in the video: "{query}"? First reason inside <think> </think> about what changes and when. '
    "Then answer with its start and its end in one sentence of this form: The event happens in 12.0 - 15.5 seconds. "
    "Write nothing else."
)
_TARO: Final = (
    'When does this happen in the video: "{query}"? First go through the video in order inside <think> </think>, part '
    'by part with its times, like "From 0.0s to 5.2s, a man walks in." Then give the start and the end in seconds, '
    "like <answer>12.0s to 15.5s</answer>. Write nothing else."
)
_TARO_ALONE: Final = (
    'When does this happen in the video: "{query}"? Give the start and the end in seconds, one decimal each, like '
    "<answer>12.0s to 15.5s</answer>. Write nothing else."
)
_MUSEG: Final = (
    'When does this happen in the video: "{query}"? It may happen several times. First reason inside <think> </think> '
    "about each of them, naming its start and end. Then give all of them in seconds, two decimals each, like "
    "<answer>12.00-15.50 20.00-24.50</answer>, or <answer></answer> if it does not happen. Write nothing else."
)
_MUSEG_ALONE: Final = (
    'When does this happen in the video: "{query}"? It may happen several times. Give all of them in seconds, two '
    "decimals each, like <answer>12.00-15.50 20.00-24.50</answer>, or <answer></answer> if it does not happen. Write "
    "nothing else."
)
_OMTG: Final = (
    'When does this happen in the video: "{query}"? It may happen several times. First reason inside <think> </think>; '
    "give each time in it in time tags and say behind it what is seen. Then list all the times as the answer, like "
    "<time>12.0 - 15.5 seconds</time> <time>20.0 - 24.5 seconds</time>. Write nothing else."
)
_OMTG_ALONE: Final = (
    'When does this happen in the video: "{query}"? It may happen several times. List all the times, like '
    "<time>12.0 - 15.5 seconds</time> <time>20.0 - 24.5 seconds</time>. Write nothing else."
)

_TIMES: Final = "Each number before frames of the video is their time in seconds."
_VERB_COMPLETION: Final = (
    'The video shows what this sentence says, but its verb is missing: "{query}". Watch the action, then '
    "write the whole sentence with the verb filled in, like <answer>the full sentence</answer>. "
    "Write nothing else."
)
_ACTION_RECOGNITION: Final = (
    "Which action does the video show? Watch how things move and change, then name the action with a single "
    "verb, like <answer>verb</answer>. Write nothing else."
)
_VIDEO_DESCRIPTION: Final = (
    "What happens in the video? Describe in one or two sentences who or what is seen and which action takes "
    "place, like <answer>your description</answer>. Write nothing else."
)


# the ways in which published prompts mark the place of the sentence: {}, {0}, {event}, [EVENT], <query>, %s
_PLACEHOLDER: Final = re.compile(r"\{\w*\}|\[(?:EVENT|QUERY|SENTENCE)\]|<(?:EVENT|QUERY|event|query)>|%s\b")
_WITH_QUERY: Final = ("tvg", "verb_completion")
CleanQuery = Literal["full_stop", "dots", "none"]


@dataclass(frozen=True)
class PromptTemplates:
    """The words of every question; ``{query}`` stands for the sentence, ``system`` is for grounding only.

    In verb_completion ``{query}`` is the sentence with ``____`` in place of its verb.
    """

    tvg: str
    system: str | None = None
    verb_completion: str = _VERB_COMPLETION
    action_recognition: str = _ACTION_RECOGNITION
    video_description: str = _VIDEO_DESCRIPTION

    def __post_init__(self) -> None:
        for name, words in self.__dict__.items():
            name_text(words or "", name)
        for name in _WITH_QUERY:
            if (count := self.__dict__[name].count("{query}")) != 1:
                raise ValueError(f"{name}: {{query}} must stand in it once, not {count} times")
        for name in ("action_recognition", "video_description"):
            if "{query}" in self.__dict__[name]:
                raise ValueError(f"{name}: the query is what must be found out; take {{query}} out")
        for name, words in self.__dict__.items():
            others = [found for found in _PLACEHOLDER.findall(words or "") if found != "{query}" or name == "system"]
            if others:
                place = (
                    "the sentence cannot stand here" if name not in _WITH_QUERY else "the sentence's place is {query}"
                )
                raise ValueError(f"{name}: {others[0]} would be put to the policy as it stands; {place}")


_WITH_THOUGHT: Final = {
    Method.TAR_TVG: PromptTemplates(_TAR_TVG),
    Method.TIME_R1: PromptTemplates(_TIME_R1),
    Method.INVERT4TVG: PromptTemplates(_TIME_R1),  # the same lineage, the same format
    Method.TVG_R1: PromptTemplates("{query}", system=_TVG_R1_SYSTEM),
    Method.TIMELENS2: PromptTemplates(_TIMELENS2_THOUGHT),
    Method.ORA_RL: PromptTemplates(_ORA_RL_THOUGHT),
    Method.TIMELENS: PromptTemplates(_TIMELENS_THOUGHT),
    Method.TARO: PromptTemplates(_TARO),
    Method.MUSEG: PromptTemplates(_MUSEG),
    Method.OMTG: PromptTemplates(_OMTG),
}
_ALONE: Final = {
    Method.TAR_TVG: PromptTemplates(_TIME_R1_ALONE),
    Method.TIME_R1: PromptTemplates(_TIME_R1_ALONE),
    Method.INVERT4TVG: PromptTemplates(_TIME_R1_ALONE),
    Method.TVG_R1: PromptTemplates("{query}", system=_TVG_R1_SYSTEM_ALONE),
    Method.TIMELENS2: PromptTemplates(_TIMELENS2),
    Method.ORA_RL: PromptTemplates(_ORA_RL),
    Method.TIMELENS: PromptTemplates(_TIMELENS),
    Method.TARO: PromptTemplates(_TARO_ALONE),
    Method.MUSEG: PromptTemplates(_MUSEG_ALONE),
    Method.OMTG: PromptTemplates(_OMTG_ALONE),
}


def templates_of(form: AnswerFormat) -> PromptTemplates:
    """The words that ask for a format: ours, but for TVG-R1's system turn, which is the paper's (arXiv 2507.18100)."""
    return (_WITH_THOUGHT if form.has_thought else _ALONE)[form.method]


def read_templates(path: Path, form: AnswerFormat) -> PromptTemplates:
    """The templates of a YAML file with any of the keys of ``PromptTemplates``; the format's own for the others.

    The format that a prompt asks for must stay this one, because parsing goes by it.
    """
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file of prompts")
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not YAML ({error})") from error
    known = [field.name for field in fields(PromptTemplates)]
    wanted = f"expected texts under some of the keys {', '.join(known)}"
    if not isinstance(given, dict):
        raise ValueError(f"{path}: {wanted}")
    for key, words in given.items():
        if key not in known:
            raise ValueError(f"{path}: {key}: there is no such key; {wanted}")
        if not isinstance(words, str):
            raise ValueError(f"{path}: {key}: {words!r} is no text; {wanted}")
    try:
        return replace(templates_of(form), **given)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def grounding_prompt(
    form: AnswerFormat, query: str, templates: PromptTemplates | None = None, clean_query: CleanQuery = "full_stop"
) -> Prompt:
    """The prompt that asks when the query happens; TVG-R1 puts its rules in a system turn.

    ``clean_query``: the sentence on one line without its ``full_stop``, without the ``dots`` at both of its ends as in
    TimeLens (arXiv 2512.14698), or as it is written (``none``).

    >>> grounding_prompt(AnswerFormat(Method.TVG_R1), " The red circle rises. ").user
    'The red circle rises'
    """
    words = templates or templates_of(form)
    return Prompt(user=words.tvg.replace("{query}", _cleaned(query, clean_query)), system=words.system)


def with_times(prompt: Prompt) -> Prompt:
    """The prompt with the times of the frames in the text, and a sentence before its words that says so."""
    return replace(prompt, user=f"{_TIMES} {prompt.user}", time_as_text=True)


def inversion_prompt(
    task: Task, query_without_verb: str | None = None, templates: PromptTemplates | None = None
) -> Prompt:
    """The prompt of an inversion task (Invert4TVG, arXiv 2508.07388); only verb completion shows a sentence.

    ``query_without_verb`` comes from ``tasks.verbs.remove_first_verb``; the other two tasks leave it out.

    >>> "circle ____" in inversion_prompt(Task.VERB_COMPLETION, "The red circle ____.").user
    True
    """
    words = templates or templates_of(AnswerFormat(Method.INVERT4TVG))
    if task is Task.VERB_COMPLETION:
        assert query_without_verb is not None, "a query without a verb cannot be completed: see tasks.inversion"
        return Prompt(user=words.verb_completion.replace("{query}", _cleaned(query_without_verb, "full_stop")))
    assert task in (Task.ACTION_RECOGNITION, Task.VIDEO_DESCRIPTION), task
    return Prompt(user=words.action_recognition if task is Task.ACTION_RECOGNITION else words.video_description)


def _cleaned(query: str, way: CleanQuery) -> str:
    """The query without the full stop that would clash with the sentence around it."""
    if way == "none":
        return query
    line = " ".join(query.split())
    return line.removesuffix(".").rstrip() if way == "full_stop" else line.strip(".").strip()
