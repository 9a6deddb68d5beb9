"""The strict formats of OraRL, TimeLens, TaRO, MUSEG and OMTG: a completion in, its answer out. Standard library only.

``parsing.read_strict`` calls these with a text without blanks and end tokens around it; each docstring is the rule.
``thought``: True asks for one, False for the answer alone, in which nothing unusable may stand.
"""

import re
from typing import Final

from tvg_lightning.schema import Answer, Span
from tvg_lightning.spans import is_usable

_NUMBER: Final = r"\d++(?:\.\d++)?+"
_SIGNED: Final = rf"[+-]?+{_NUMBER}"
_ORA_RL: Final = re.compile(
    rf"\s*+<answer>\s*+({_SIGNED})\s++(?:to|and)\s++({_SIGNED})\s*+</answer>", flags=re.IGNORECASE
)
_THOUGHT_START: Final = re.compile("<think>", flags=re.IGNORECASE)
_THOUGHT_END: Final = re.compile("</think>", flags=re.IGNORECASE)
_ANSWER_TAG: Final = re.compile("</?answer>", flags=re.IGNORECASE)
_DASHED: Final = re.compile(rf"({_NUMBER})\s*+-\s*+({_NUMBER})")
_SECONDS: Final = rf"{_NUMBER}\s*+-\s*+{_NUMBER} seconds"
_TIMELENS: Final = re.compile(rf"\s*+The event happens in {_SECONDS}(?:, {_SECONDS})*+\.?+")
_TARO: Final = re.compile(rf"(?<![\w.:-])({_NUMBER})s\s(?:to|and)\s({_NUMBER})s(?!\w)", flags=re.IGNORECASE)
_SEGMENT: Final = rf"{_NUMBER}-{_NUMBER}"
_MUSEG: Final = re.compile(rf"\s*+(?:{_SEGMENT}(?:\s++{_SEGMENT})*+)?+\s*+")
_TIME: Final = rf"<time>\s*+{_NUMBER}\s*+-\s*+{_NUMBER}(?:\s*+(?:seconds?|s))?+\s*+</time>"
_OMTG: Final = re.compile(rf"\s*+{_TIME}(?:(?:[\s,;]++(?:and\s++)?+)?+{_TIME})*+\.?+", flags=re.IGNORECASE)
_THOUGHT_TO_ANSWER: Final = re.compile(r"</think>\s*+<answer>")
_TAGS: Final = ("<think>", "</think>", "<answer>", "</answer>")


def read_ora_rl(body: str, thought: bool | None) -> Answer:
    """``<answer>a to b</answer>`` (or ``a and b``), nothing else in the tags, nothing behind them; a sign may stand.

    ``thought`` None, as published (arXiv 2608.20492): a thought may stand before it, also without its opening tag.
    Tags and words in any case, one answer block in the whole text. Out of this format there is no window, so that
    the plain IoU is the paper's "format x IoU". Their code gives 0 for ``<|im_end|>`` behind the tag; here it is cut.

    >>> read_ora_rl("<answer>12 to 15.5</answer>", None).span
    Span(start_s=12.0, end_s=15.5)
    """
    ends = [match.end() for match in _THOUGHT_END.finditer(body)]
    match = _ORA_RL.fullmatch(body, ends[-1] if ends else 0)
    is_asked_for = {None: True, False: not ends, True: _THOUGHT_START.match(body) is not None and bool(ends)}[thought]
    if match is None or not is_asked_for or len(_ANSWER_TAG.findall(body)) != 2:
        return Answer(False, None)
    return _whole([Span(float(match[1]), float(match[2]))])


def read_timelens(body: str, thought: bool) -> Answer:
    """``The event happens in a - b seconds``, several windows joined by commas; the first one is the answer.

    TimeLens (arXiv 2512.14698) trains and evaluates on the sentence alone; its reward reads times in any wording.

    >>> read_timelens("The event happens in 1.0 - 2.5 seconds, 4.0 - 5.0 seconds.", False).spans
    (Span(start_s=1.0, end_s=2.5),)
    """
    rest = _behind_thought(body) if thought else body
    if rest is None or not _TIMELENS.fullmatch(rest):
        return Answer(False, None)
    answer = _whole(_dashed(rest))
    return Answer(answer.follows_format, answer.spans and answer.spans[:1])


def read_taro(body: str, thought: bool) -> Answer:
    """``<think>…</think><answer>…</answer>``, each tag once; the time is the last ``1.2s to 4.5s`` of the last answer.

    The unit is required, one blank stands on each side of ``to`` or ``and``. As released (arXiv 2606.09248), format
    and time are apart: a good format may hold no time, and the time is read where the format fails.

    >>> read_taro("<think>x</think><answer>12.34s to 45.60s</answer>", True).span
    Span(start_s=12.34, end_s=45.6)
    """
    inside = _last_answer(body)
    pairs = _TARO.findall(inside) if inside is not None else []
    spans = _usable([Span(float(start), float(end)) for start, end in pairs[-1:]]) or None
    if thought:
        return Answer(_is_thought_then_answer(body), spans)
    return Answer(True, spans) if spans and _is_answer_alone(body) else Answer(False, None)


def read_museg(body: str, thought: bool) -> Answer:
    """``<think>…</think><answer>a-b c-d …</answer>``: segments parted by blanks; no segment says that there is none.

    As released (arXiv 2505.20715) a segment that cannot be read spoils the format, one that is reversed or of zero
    length only the windows, and these are read where the rest of the format fails. Theirs pays 0.2 and 0.6 for
    parts of the format; here it is kept or not.

    >>> read_museg("<think>x</think><answer>1.00-2.50 4.00-5.00</answer>", True).spans
    (Span(start_s=1.0, end_s=2.5), Span(start_s=4.0, end_s=5.0))
    """
    opened, closed = body.find("<answer>"), body.rfind("</answer>")
    inside = body[opened + len("<answer>") : closed] if 0 <= opened < closed else ""
    can_be_read = 0 <= opened < closed and _MUSEG.fullmatch(inside) is not None
    spans = _usable(_dashed(inside)) if can_be_read else None
    if thought:
        return Answer(can_be_read and _is_thought_then_answer(body), spans, is_set=True)
    is_good = spans is not None and _is_answer_alone(body)
    return Answer(is_good, spans if is_good else None, is_set=True)


def read_omtg(body: str, thought: bool) -> Answer:
    """``<time>a - b seconds</time>`` for every window, only blanks, commas and ``and`` between; after the thought.

    Times inside the thought are no answer, as in OMTG's reward (arXiv 2606.06294) and unlike its benchmark. The unit
    may be missing, the case does not matter. Theirs allows any words between the tags, and lets a reversed window
    count as a prediction; here either is out of the format.

    >>> read_omtg("<think><time>1 - 9 seconds</time> a dog</think><time>1.0 - 2.5 seconds</time>", True).spans
    (Span(start_s=1.0, end_s=2.5),)
    """
    rest = _behind_thought(body) if thought else body
    if rest is None or not _OMTG.fullmatch(rest):
        return Answer(False, None, is_set=True)
    answer = _whole(_dashed(rest))
    return Answer(answer.follows_format, answer.spans, is_set=True)


def _whole(windows: list[Span]) -> Answer:
    """The answer of a text in its layout: out of it after all where a window cannot be used."""
    spans = _usable(windows)
    return Answer(spans is not None, spans)


def _usable(windows: list[Span]) -> tuple[Span, ...] | None:
    """The windows, or None where one of them cannot be used."""
    return tuple(windows) if all(map(is_usable, windows)) else None


def _dashed(text: str) -> list[Span]:
    return [Span(float(start), float(end)) for start, end in _DASHED.findall(text)]


def _behind_thought(body: str) -> str | None:
    """The text after the end of the thought that the body begins with."""
    closed = body.rfind("</think>") if body.startswith("<think>") else -1
    return body[closed + len("</think>") :] if closed >= 0 else None


def _last_answer(body: str) -> str | None:
    closed = body.rfind("</answer>")
    opened = body.rfind("<answer>", 0, closed) if closed >= 0 else -1
    return body[opened + len("<answer>") : closed] if opened >= 0 else None


def _is_thought_then_answer(body: str) -> bool:
    is_around = body.startswith("<think>") and body.endswith("</answer>")
    return is_around and all(body.count(tag) == 1 for tag in _TAGS) and _THOUGHT_TO_ANSWER.search(body) is not None


def _is_answer_alone(body: str) -> bool:
    return body.startswith("<answer>") and body.endswith("</answer>") and body.count("<") == 2
