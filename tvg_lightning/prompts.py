"""The words put to the policy, in our own phrasing: short, exact about the layout that parsing expects."""

from typing import Final

from tvg_lightning.schema import Method, Prompt, Task

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
    "Find when the query happens in the video. Reason inside <think> </think>, from what is seen and how it "
    "changes over time, not from general knowledge. Then give the start and the end in seconds inside "
    "<time> </time>, written like <time>[12.0, 15.5]</time>."
)
_GROUNDING: Final = {
    Method.TAR_TVG: _TAR_TVG,
    Method.TIME_R1: _TIME_R1,
    Method.INVERT4TVG: _TIME_R1,  # the same lineage, the same layout
}

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


def grounding_prompt(method: Method, query: str) -> Prompt:
    """The prompt that asks when the query happens; TVG-R1 puts its rules in a system turn.

    >>> grounding_prompt(Method.TVG_R1, " The red circle rises. ").user
    'The red circle rises'
    """
    if method is Method.TVG_R1:
        return Prompt(user=_clean(query), system=_TVG_R1_SYSTEM)
    return Prompt(user=_GROUNDING[method].format(query=_clean(query)))


def inversion_prompt(task: Task, query_without_verb: str | None = None) -> Prompt:
    """The prompt of an inversion task (Invert4TVG, arXiv 2508.07388); only verb completion shows a sentence.

    ``query_without_verb`` comes from ``tasks.verbs.remove_first_verb``; the other two tasks leave it out.

    >>> "circle ____" in inversion_prompt(Task.VERB_COMPLETION, "The red circle ____.").user
    True
    """
    if task is Task.VERB_COMPLETION:
        assert query_without_verb is not None, "a query without a verb cannot be completed: see tasks.inversion"
        return Prompt(user=_VERB_COMPLETION.format(query=_clean(query_without_verb)))
    assert task in (Task.ACTION_RECOGNITION, Task.VIDEO_DESCRIPTION), task
    return Prompt(user=_ACTION_RECOGNITION if task is Task.ACTION_RECOGNITION else _VIDEO_DESCRIPTION)


def _clean(query: str) -> str:
    """On one line, without the full stop that would clash with the sentence around it."""
    return " ".join(query.split()).removesuffix(".").rstrip()
