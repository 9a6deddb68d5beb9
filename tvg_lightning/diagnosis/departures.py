"""The ways in which a completion leaves the format that was asked for, named so that they can be counted.

The format itself is defined in ``parsing`` and ``strict_formats`` alone: these names are for texts that they
have refused.
"""

import re

from tvg_lightning.parsing import last_inside, stripped
from tvg_lightning.schema import AnswerFormat, Method
from tvg_lightning.spans import is_usable
from tvg_lightning.timestrings import stated_windows

NO_TIME, REVERSED, OTHER_FORM = "no time in the answer", "start not before end", "a time in another form"
OTHERWISE = "otherwise"
_TWICE = "a tag that stands twice"
_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_TIMED = re.compile(r"<time>[^<]*+</time>")
_BETWEEN_TIMES = re.compile(r"[\s,;]|\band\b")


def departure(text: str, form: AnswerFormat) -> str:
    """The first thing that keeps a text from its format, from the beginning of the text on.

    >>> departure("<answer>1 to 2</answer>", AnswerFormat(Method.TIME_R1))
    'no thought'
    >>> departure("<think>x</think><answer>1 to 2</answer> So be it.", AnswerFormat(Method.TIME_R1))
    'text after </answer>'
    """
    body = stripped(text)
    if not body:
        return "nothing was written"
    if form.method is Method.ORA_RL:
        return _of_ora_rl(body.lower(), form.thought)
    thought = _of_thought(body) if form.has_thought else None
    if thought is not None:
        return thought
    if form.method in (Method.TIMELENS, Method.OMTG):
        rest = body.rpartition("</think>")[2] if form.has_thought else body
        return _of_times(rest) if form.method is Method.TIMELENS else _of_timed(rest.lower())
    if not form.has_thought:
        name = _answer_tag(form)
        found = _of_list(body) if name is None else _of_answer_alone(body, name)
        return found or time_departure(text, form)
    if form.method is Method.TIMELENS2:
        return _of_list(body.partition("</think>")[2])
    if form.method is Method.TVG_R1:
        behind = body.partition("</think>")[2].partition("<time>")
        return "</time> is missing" if behind[1] else "no <time> after the thought"
    found = _of_answer_behind(body)
    if found is None and form.method in (Method.TARO, Method.MUSEG):
        found = _TWICE if _is_any_twice(body) else time_departure(text, form)
    return found or (_of_anchors(body) if form.method is Method.TAR_TVG else OTHERWISE)


def inverted_departure(text: str) -> str:
    """The same for an inversion task, whose whole text is one ``<answer>…</answer>``.

    >>> inverted_departure("<answer>rises</answer>.")
    'text after </answer>'
    """
    body = stripped(text)
    return (_of_answer_alone(body, "answer") or "an empty answer") if body else "nothing was written"


def time_departure(text: str, form: AnswerFormat) -> str:
    """The reason why the time in an answer in its tags cannot be read.

    >>> time_departure("<answer>0:12 - 0:15</answer>", AnswerFormat(Method.TIME_R1, thought=False))
    'a time in another form'
    """
    body = stripped(text)
    if form.method is Method.TVG_R1:  # its rule reads the first
        inside = body.partition("<time>")[2].partition("</time>")[0]
    else:
        inside = last_inside(body, "answer")
    return _of_times(inside) if form.says_sets else _of_time(inside)


def _answer_tag(form: AnswerFormat) -> str | None:
    if form.method is Method.TIMELENS2:
        return None
    return "time" if form.method is Method.TVG_R1 else "answer"


def _of_time(inside: str) -> str:
    windows = stated_windows(inside)
    if not windows:
        return NO_TIME
    return OTHER_FORM if any(map(is_usable, windows)) else REVERSED


def _of_times(inside: str) -> str:
    """The same where every window must be usable."""
    windows = stated_windows(inside)
    if not windows:
        return NO_TIME
    return OTHER_FORM if all(map(is_usable, windows)) else REVERSED


def _of_ora_rl(body: str, thought: bool | None) -> str:
    """OraRL's one ``<answer>``, behind a thought, without one, or (None) either way; ``body`` in lower case."""
    found = _of_thought(body) if thought else None
    before, is_thought, rest = body.rpartition("</think>")
    if thought is False and is_thought:
        return "a thought before <answer>"
    found = found or _of_answer_alone(rest.strip(), "answer")
    if found is None and ("<answer>" in before or "</answer>" in before):
        return _TWICE
    return found or _of_time(last_inside(rest, "answer"))


def _of_timed(rest: str) -> str:
    """OMTG's windows, each in ``<time>``, in lower case."""
    if "<time>" not in rest:
        return "no <time>"
    if rest.count("</time>") < rest.count("<time>"):
        return "</time> is missing"
    around = _BETWEEN_TIMES.sub("", _TIMED.sub(" ", rest).rstrip().removesuffix("."))
    return "text around the <time> tags" if around else _of_times(rest)


def _of_thought(body: str) -> str | None:
    opened, closed = body.find("<think>"), body.find("</think>")
    if opened < 0 and closed < 0:
        return "no thought"
    if opened < 0:
        return "<think> is missing"
    if opened > 0:
        return "text before <think>"
    return "</think> is missing" if closed < 0 else None


def _of_answer_behind(body: str) -> str | None:
    """The lineage's ``<answer>``, which ends the text and follows the thought at once."""
    if "<answer>" not in body:
        return "no <answer>"
    if "</answer>" not in body:
        return "</answer> is missing"
    if not body.endswith("</answer>"):
        return "text after </answer>"
    ends = [part for part in body.split("</think>")[1:] if part.lstrip().startswith("<answer>")]
    return None if ends else "text between the thought and <answer>"


def _of_anchors(body: str) -> str:
    """The rest of TAR-TVG's format, once thought and answer are in their places."""
    if _is_any_twice(body):
        return _TWICE
    thought = body[len("<think>") : body.find("</think>")]
    if "<timestamp>" not in body:
        return "no <timestamp> in the thought"
    if body.count("<timestamp>") != body.count("</timestamp>"):
        return "a <timestamp> without its end"
    if thought.count("<timestamp>") != body.count("<timestamp>"):
        return "a <timestamp> outside the thought"
    answer = _of_time(last_inside(body, "answer"))
    anchors = {_of_time(part.partition("</timestamp>")[0]) for part in thought.split("<timestamp>")[1:]}
    bad = next((name for name in (NO_TIME, REVERSED) if name in anchors), None)
    if bad is not None:
        return f"{bad.removesuffix(' in the answer')} in a <timestamp>"
    return answer if answer != OTHER_FORM else "a time in another form than a to b"


def _is_any_twice(body: str) -> bool:
    return any(body.count(tag) > 1 for tag in _TAGS)


def _of_answer_alone(body: str, name: str) -> str | None:
    opened, closed = body.find(f"<{name}>"), body.find(f"</{name}>")
    if opened < 0:
        return f"no <{name}>"
    if opened > 0:
        return f"text before <{name}>"
    if closed < 0:
        return f"</{name}> is missing"
    if not body.endswith(f"</{name}>"):
        return f"text after </{name}>"
    return "a tag inside the answer" if "<" in body[len(name) + 2 : -len(name) - 3] else None


def _of_list(body: str) -> str:
    """The reason why a text is no JSON list of windows."""
    body = body.strip()
    if "[" not in body:
        return "times, but no JSON list" if stated_windows(body) else "no JSON list"
    if not body.startswith("["):
        return "text before the list"
    if "]" not in body:
        return "the list has no end"
    if not body.endswith("]"):
        return "text after the list"
    windows = stated_windows(body)
    return REVERSED if any(not is_usable(window) for window in windows) else "a list in another form"
