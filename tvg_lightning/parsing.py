"""Spans read from model text: strictly for rewards, tolerantly for evaluation. Standard library only.

Model text is untrusted: nothing here raises, and every pattern runs in time linear in the text (possessive
quantifiers, tags found by ``str.find``), because a policy in training does emit 10,000 opening tags.
"""

import re
from dataclasses import replace
from typing import Final, Literal

from tvg_lightning.schema import Answer, AnswerFormat, Method, Span
from tvg_lightning.spans import is_usable
from tvg_lightning.strict_formats import read_museg, read_omtg, read_ora_rl, read_taro, read_timelens
from tvg_lightning.timestrings import stated_windows

_END_TOKENS: Final = ("<|im_end|>", "<|endoftext|>")
_TAGS: Final = ("<think>", "</think>", "<answer>", "</answer>")

_NUMBER: Final = r"\d++(?:\.\d++)?+"
_STRICT_PAIR: Final = re.compile(rf"(?<![\w.:-])({_NUMBER})\s++(?:to|and)\s++({_NUMBER})(?![\d:]|\.\d)")
_STRICT_ANCHOR: Final = re.compile(rf"\s*+({_NUMBER})\s++to\s++({_NUMBER})\s*+")
_JSON_NUMBER: Final = r"-?(?:0|[1-9]\d*+)(?:\.\d++)?+(?:[eE][+-]?\d++)?+"
_JSON_PAIR: Final = re.compile(rf"\s*+\[\s*+({_JSON_NUMBER})\s*+,\s*+({_JSON_NUMBER})\s*+\]\s*+")
_JSON_LIST: Final = re.compile(rf"\s*+\[\s*+(?:{_JSON_PAIR.pattern}(?:,{_JSON_PAIR.pattern})*+)?+\]\s*+")
_NONE: Final = {
    Method.TIMELENS2: re.compile(r"\[\s*+\]"),
    Method.MUSEG: re.compile(r"\[\s*+\]|<answer>\s*+</answer>"),
}
_FIRST_WINDOW: Final = frozenset({Method.TVG_R1, Method.TIMELENS, Method.ORA_RL})  # the others take the last
_THOUGHT_TO_ANSWER: Final = re.compile(r"</think>\s*+<answer>")

ReversedPairs = Literal["reject", "swap"]


def read_strict(text: str, form: AnswerFormat) -> Answer:
    """Read a completion for its reward, in the format that its prompt asks for and no other.

    TIME_R1, INVERT4TVG (the lineage's rule): the whole text is a ``<think>…</think>``, blanks, an
    ``<answer>…</answer>``; the time is the LAST ``a to b`` or ``a and b`` of the LAST answer. Out of format
    there is no span; Time-R1's release reads one there too, and lets its format term alone suffer.

    TVG_R1 (released rule): the text opens with a ``<think>…</think>`` and has a ``<time>…</time>`` after it,
    anything between them and behind allowed; the span is the FIRST ``<time>`` as JSON ``[a, b]``. Its IoU and
    format terms are separate, so the span is read even where the format fails, and a good format may hold an
    unreadable time.

    TAR_TVG (reconstruction: the rule is not public): the lineage's format with each of the four tags once, at
    least one ``<timestamp>a to b</timestamp>`` inside the thought and none outside, and every time usable,
    the answer's too (or no answer at all would beat a far-off one, whose soft IoU is negative). Span and
    anchors are read even where the format fails.

    TIMELENS2 (arXiv 2607.17423): a JSON list of windows ``[[a, b], …]``, all of them usable. ``[]``, which theirs
    cannot read, says that the event is not in the video. Theirs also turns reversed windows round.

    ORA_RL, TIMELENS, TARO, MUSEG and OMTG: see ``strict_formats``.

    Without a thought the whole text is the answer: one ``<answer>…</answer>``, one ``<time>[a, b]</time>``, the
    list, or the sentence; out of this format there is no span.

    >>> read_strict("<think>x</think><answer>12.0 to 15.5</answer>", AnswerFormat(Method.TIME_R1)).span
    Span(start_s=12.0, end_s=15.5)
    >>> read_strict("[]", AnswerFormat(Method.TIMELENS2)).spans
    ()
    """
    body = stripped(text)
    match form.method:
        case Method.ORA_RL:
            return read_ora_rl(body, form.thought)
        case Method.TIMELENS:
            return read_timelens(body, form.has_thought)
        case Method.TARO:
            return read_taro(body, form.has_thought)
        case Method.MUSEG:
            return read_museg(body, form.has_thought)
        case Method.OMTG:
            return read_omtg(body, form.has_thought)
        case _:
            return _read_older(body, form)


def _read_older(body: str, form: AnswerFormat) -> Answer:
    """``read_strict`` for the methods whose rules are in this file."""
    if not form.has_thought:
        spans = _answer_alone(body, form.method)
        return Answer(spans is not None, spans, is_set=form.says_sets)
    if form.method is Method.TAR_TVG:
        return _read_tar_tvg(body)
    if form.method is Method.TVG_R1:
        return _read_tvg_r1(body)
    if form.method is Method.TIMELENS2:
        thought, tag, rest = body.partition("</think>")
        spans = _json_windows(rest) if tag and thought.startswith("<think>") else None
        return Answer(spans is not None, spans, is_set=form.says_sets)
    assert form.method in (Method.TIME_R1, Method.INVERT4TVG), form
    follows_format = _is_thought_then_answer(body)
    return Answer(follows_format, _one(_last_strict_pair(last_inside(body, "answer"))) if follows_format else None)


def read_tolerant(text: str, form: AnswerFormat) -> Answer:
    """Read a completion for evaluation: any format, any way of writing a time; ``follows_format`` stays strict.

    What the strict rule reads in the right format is the answer. Else it is one of ``read_all``'s windows: for TVG_R1
    the first, as its released evaluation takes the first two numbers, also for TIMELENS and ORA_RL; for the lineage
    and TARO the last, as their rule does; for TIMELENS2, MUSEG and OMTG all of them. TIMELENS2 says that there is none
    by an empty list, MUSEG also by an empty answer.
    Only usable windows count: a reversed pair is rejected for every method. The released evaluations of Time-R1 and
    TVG-R1 do not swap it either and give it IoU 0; for TAR_TVG, whose code is not public, it is our reconstruction.

    >>> read_tolerant("It happens in 64.0 - 72.0 seconds.", AnswerFormat(Method.TIME_R1))
    Answer(follows_format=False, spans=(Span(start_s=64.0, end_s=72.0),), anchors=(), is_set=False)
    """
    strict = read_strict(text, form)
    body = stripped(text)
    tags = _all_inside(_thought(body), "timestamp")
    anchors = tuple(window for inside in tags for window in read_windows(inside)[-1:])
    if strict.follows_format and strict.spans is not None:
        return replace(strict, anchors=anchors)
    windows = tuple(window for window in read_all(text, form.method) if is_usable(window))
    if form.says_sets:
        none = _NONE.get(form.method)
        says_none = none is not None and not windows and none.search(_without_thoughts(body)) is not None
        return replace(strict, spans=windows if windows or says_none else None, anchors=anchors)
    picked = windows[:1] if form.method in _FIRST_WINDOW else windows[-1:]
    return replace(strict, spans=picked or None, anchors=anchors)


def read_all(text: str, method: Method, reversed_pairs: ReversedPairs = "reject") -> list[Span]:
    """Every window of the final answer, in order, as the text states it.

    The final answer is the first of these that holds a window: for TVG_R1 the first ``<time>``, for OMTG all of them;
    the last ``<answer>`` or ``<time>`` (a truncated one counts); what is left of the text without its thoughts. A
    thought without end goes on to the tag of an answer, or to the end of the text; its numbers are never the answer.

    A single instant such as ``[5, 5]`` is kept: it is what the text says, though its IoU is 0. A pair with
    start > end is left out, or turned round under ``reversed_pairs="swap"`` (which neither released evaluation does).

    >>> read_all("<think>1 to 2</think><answer>5 to 8, and 9 to 7", Method.TIME_R1, reversed_pairs="swap")
    [Span(start_s=5.0, end_s=8.0), Span(start_s=7.0, end_s=9.0)]
    """
    outside = _without_thoughts(stripped(text))
    if method is Method.OMTG:
        tagged = [window for inside in _all_inside(outside, "time") for window in stated_windows(inside)]
        if windows := _ordered(tagged, reversed_pairs):
            return windows
    places = [_final_tag(outside), outside]
    if method is Method.TVG_R1:
        places.insert(0, _first_time(outside))
    for place in places:
        windows = _ordered(stated_windows(place), reversed_pairs) if place is not None else []
        if windows:
            return windows
    return []


def read_windows(text: str) -> list[Span]:
    """Every usable window of a text, in order, however it is written; pairs with start >= end are left out.

    >>> read_windows("[[1, 2.5], [00:59, 01:03], [9, 7]]")
    [Span(start_s=1.0, end_s=2.5), Span(start_s=59.0, end_s=63.0)]
    """
    return [window for window in stated_windows(text) if is_usable(window)]


def read_thought(text: str) -> str | None:
    """The first thought of a text, an unfinished one up to an ``<answer>`` or the end; None where there is none.

    >>> read_thought("<think>It rises.</think><answer>1 to 2</answer>"), read_thought("1 to 2")
    ('It rises.', None)
    """
    opened = text.find("<think>")
    if opened < 0:  # chat templates that open the thought themselves leave only its end in the text
        before, closed, _ = text.partition("</think>")
        return before if closed else None
    inside, closed, _ = text[opened + len("<think>") :].partition("</think>")
    return inside if closed else inside.partition("<answer>")[0]


def read_inverted(text: str) -> str | None:
    """The content of the one ``<answer>…</answer>`` that is the whole output of an inversion task, else None.

    >>> read_inverted("<answer> rises </answer><|im_end|>"), read_inverted("rises")
    ('rises', None)
    """
    body = stripped(text)
    if not (body.startswith("<answer>") and body.endswith("</answer>")):
        return None
    inside = body[len("<answer>") : -len("</answer>")]
    if any(tag in inside for tag in _TAGS) or not inside.strip():
        return None
    return inside.strip()


def _answer_alone(body: str, method: Method) -> tuple[Span, ...] | None:
    """The windows of a text that is the answer and nothing else."""
    if method is Method.TIMELENS2:
        return _json_windows(body)
    name = "time" if method is Method.TVG_R1 else "answer"
    if not (body.startswith(f"<{name}>") and body.endswith(f"</{name}>")):
        return None
    inside = body[len(name) + 2 : -len(name) - 3]
    if "<" in inside:
        return None
    return _one(_fit(_JSON_PAIR, inside) if method is Method.TVG_R1 else _last_strict_pair(inside))


def _json_windows(text: str) -> tuple[Span, ...] | None:
    """The windows of a JSON list, which may be empty; None where it is none, or one window is not usable."""
    if not _JSON_LIST.fullmatch(text):
        return None
    windows = [_usable(start, end) for start, end in _JSON_PAIR.findall(text)]
    return None if None in windows else tuple(window for window in windows if window is not None)


def _one(span: Span | None) -> tuple[Span, ...] | None:
    return None if span is None else (span,)


def _read_tar_tvg(body: str) -> Answer:
    thought = _thought(body)
    tags = _all_inside(thought, "timestamp")
    anchors = tuple(span for inside in tags if (span := _fit(_STRICT_ANCHOR, inside)) is not None)
    span = _last_strict_pair(last_inside(body, "answer"))
    follows_format = (
        _is_thought_then_answer(body)
        and all(body.count(tag) == 1 for tag in _TAGS)
        and len(anchors) >= 1
        and len(anchors) == len(tags) == body.count("<timestamp>") == body.count("</timestamp>")
        and span is not None
    )
    return Answer(follows_format, _one(span), anchors)


def _read_tvg_r1(body: str) -> Answer:
    after_thought = body.find("</think>") if body.startswith("<think>") else -1
    timed = body.find("<time>", after_thought) if after_thought >= 0 else -1
    follows_format = timed >= 0 and body.find("</time>", timed) >= 0
    opened = body.find("<time>")
    closed = body.find("</time>", opened) if opened >= 0 else -1
    span = _fit(_JSON_PAIR, body[opened + len("<time>") : closed]) if closed >= 0 else None
    return Answer(follows_format, _one(span))


def _is_thought_then_answer(body: str) -> bool:
    if not (body.startswith("<think>") and body.endswith("</answer>")):
        return False
    return _THOUGHT_TO_ANSWER.search(body) is not None


def stripped(text: str) -> str:
    """The text without the blanks and end tokens around it; one pass, for a padded tail can be long."""
    end = len(text)
    while end > 0:
        token = next((token for token in _END_TOKENS if text.endswith(token, 0, end)), None)
        if token is not None:
            end -= len(token)
        elif text[end - 1].isspace():
            end -= 1
        else:
            break
    return text[:end].lstrip()


def _thought(body: str) -> str:
    """The text from the first ``<think>`` to the next ``</think>``; "" where the thought does not end."""
    opened = body.find("<think>")
    closed = body.find("</think>", opened) if opened >= 0 else -1
    return body[opened + len("<think>") : closed] if closed >= 0 else ""


def _without_thoughts(body: str) -> str:
    kept = []
    at = 0
    while (opened := body.find("<think>", at)) >= 0:
        kept.append(body[at:opened])
        closed = body.find("</think>", opened)
        if closed < 0:
            # a thought without end lasts to the end of the text, or to the tag that opens an answer
            answers = [start for tag in ("<answer>", "<time>") if (start := body.find(tag, opened)) >= 0]
            return " ".join([*kept, body[min(answers) :]] if answers else kept)
        at = closed + len("</think>")
    kept.append(body[at:])
    rest = " ".join(kept)
    # chat templates that open the thought themselves leave only its end in the text
    return rest[rest.rfind("</think>") + len("</think>") :] if "</think>" in rest else rest


def _final_tag(text: str) -> str | None:
    """The content of the last ``<answer>`` or ``<time>``, up to its end tag or to the end of a truncated text."""
    opened, name = max((text.rfind(f"<{name}>"), name) for name in ("answer", "time"))
    if opened < 0:
        return None
    start = opened + len(name) + 2
    closed = text.find(f"</{name}>", start)
    return text[start:closed] if closed >= 0 else text[start:]


def _first_time(text: str) -> str | None:
    """The content of the first ``<time>``, up to its end tag or to the end of a truncated text."""
    _, opened, rest = text.partition("<time>")
    return rest.partition("</time>")[0] if opened else None


def last_inside(text: str, name: str) -> str:
    """The content of the last ``<name>…</name>``; "" where there is none."""
    closed = text.rfind(f"</{name}>")
    opened = text.rfind(f"<{name}>", 0, closed) if closed >= 0 else -1
    return text[opened + len(name) + 2 : closed] if opened >= 0 else ""


def _all_inside(text: str, name: str) -> list[str]:
    found = []
    at = 0
    while (opened := text.find(f"<{name}>", at)) >= 0:
        closed = text.find(f"</{name}>", opened)
        if closed < 0:
            break
        found.append(text[opened + len(name) + 2 : closed])
        at = closed
    return found


def _last_strict_pair(text: str) -> Span | None:
    pairs = _STRICT_PAIR.findall(text)
    return _usable(*pairs[-1]) if pairs else None


def _fit(pattern: re.Pattern[str], text: str) -> Span | None:
    match = pattern.fullmatch(text)
    return _usable(*match.groups()) if match else None


def _ordered(windows: list[Span], reversed_pairs: ReversedPairs) -> list[Span]:
    if reversed_pairs == "swap":
        return [Span(min(window), max(window)) for window in windows]
    return [window for window in windows if window.start_s <= window.end_s]


def _usable(start: str, end: str) -> Span | None:
    span = Span(float(start), float(end))
    return span if is_usable(span) else None
