"""The reply of a server: whether it counts, what it cost, what is in it. Nothing here trusts the server."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, NamedTuple, TypeGuard

from tvg_lightning.files import plain_text

_MAX_WORDS = 500  # of a server's complaint, which may be a whole HTML page


class Tokens(NamedTuple):
    """Tokens paid for: of the question, and of the answer with the reasoning that is not shown."""

    input: int
    output: int


class Verdict(StrEnum):
    """The consequence of one try."""

    ANSWERED = "answered"  # paid for: never asked again
    RETRY = "retry"
    ASIDE = "aside"  # this question is refused; others may pass
    STOP = "stop"  # no question will pass


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one try. ``tokens`` None: unknown, the worst case is taken; ``response``: of an answer."""

    verdict: Verdict
    reason: str
    tokens: Tokens | None
    response: dict[str, Any] | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The first choice of a response."""

    text: str
    finish_reason: str
    refusal: str
    num_tokens: int  # of the answer as the server counts it; 0 where it does not
    max_tokens: int  # what it was allowed to have
    is_fixed: bool = False  # half an emoji or NUL in the text was replaced by U+FFFD

    @property
    def is_truncated(self) -> bool:
        return self.finish_reason == "length"


NOTHING = Tokens(0, 0)


def judge(status: int, retry_after: str | None, content: bytes) -> Outcome:
    """The outcome of one HTTP answer.

    200 with a choice is an answer, whatever it says. 200 without one, or that is not JSON, is retried and
    counted as paid for. 408, 409, 429 and 5xx are retried; 401, 402, 403, 404, redirects, a used-up quota and
    an invalid key stop the run; other 4xx refuse this one question. None of these costs tokens.
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    if status == 200:
        return _of_success(body)
    reason = f"HTTP {status}: {_complaint(body, content)}"
    if status in (408, 409, 429) or status >= 500:
        if _is_final(body):
            return Outcome(Verdict.STOP, reason, NOTHING)
        return Outcome(Verdict.RETRY, reason, NOTHING, retry_after_s=read_retry_after(retry_after))
    if status in (401, 402, 403, 404) or status < 400 or _is_final(body):
        return Outcome(Verdict.STOP, reason, NOTHING)
    return Outcome(Verdict.ASIDE, reason, NOTHING)


def read_reply(response: dict[str, Any], max_tokens: int) -> Reply:
    """The text and the marks of a response with a choice; what is missing or of another kind reads as ""."""
    choice = response["choices"][0]
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    tokens, text = _usage(response), _text(message.get("content"))
    return Reply(
        text=plain_text(text),
        finish_reason=_text(choice.get("finish_reason")),
        refusal=plain_text(_text(message.get("refusal"))),
        num_tokens=tokens.output if tokens is not None else 0,
        max_tokens=max_tokens,
        is_fixed=plain_text(text) != text,
    )


def read_retry_after(value: str | None) -> float | None:
    """Seconds to wait by a Retry-After header, which holds seconds or a date; None where it says nothing.

    >>> read_retry_after("1.5"), read_retry_after("soon")
    (1.5, None)
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _of_success(body: object) -> Outcome:
    if not isinstance(body, dict):
        return Outcome(Verdict.RETRY, "the answer is not a JSON object", None)
    tokens = _usage(body)
    choices = body.get("choices")
    if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
        complaint = f": {_complaint(body, b'')}" if "error" in body else ""
        return Outcome(Verdict.RETRY, f"the answer has no choices{complaint}", tokens, body)
    return Outcome(Verdict.ANSWERED, "", tokens, body)


def _usage(body: dict[str, Any]) -> Tokens | None:
    """The tokens of a response. Hidden reasoning may be in the total alone (Gemini), so the larger sum counts."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, completion, total = (usage.get(key) for key in ("prompt_tokens", "completion_tokens", "total_tokens"))
    if not (_is_count(prompt) and (_is_count(completion) or _is_count(total))):
        return None
    shown = completion if _is_count(completion) else 0
    return Tokens(prompt, max(shown, total - prompt) if _is_count(total) else shown)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_final(body: object) -> bool:
    """True where an error stays whatever is asked: OpenAI's used-up quota (429), Google's invalid key (400)."""
    error = _error(body)
    return error.get("code") == "insufficient_quota" or "API_KEY_INVALID" in json.dumps(error)


def _error(body: object) -> dict[str, Any]:
    if isinstance(body, list) and body:  # Google wraps its errors in a list
        body = body[0]
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {"message": error} if isinstance(error, str) else {}


def _complaint(body: object, content: bytes) -> str:
    """The server's own words, on one line and not too many."""
    message = _error(body).get("message")
    words = message if isinstance(message, str) else content.decode("utf-8", "replace")
    return " ".join(plain_text(words).split())[:_MAX_WORDS] or "no words"


def _text(value: object) -> str:
    """A text, or the texts of a list of parts, joined."""
    if isinstance(value, list):
        return "".join(_text(part.get("text")) for part in value if isinstance(part, dict))
    return value if isinstance(value, str) else ""
