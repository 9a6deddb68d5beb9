import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.teacher.server import GOOD, answer
from tvg_lightning.teacher.reply import Tokens, Verdict, judge, read_reply, read_retry_after

NOTHING = Tokens(0, 0)


def judged(status: int, body: Any, retry_after: str | None = None) -> tuple[Verdict, Tokens | None]:
    outcome = judge(status, retry_after, body if isinstance(body, bytes) else json.dumps(body).encode())
    return outcome.verdict, outcome.tokens


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (301, Verdict.STOP),
        (400, Verdict.ASIDE),
        (401, Verdict.STOP),
        (402, Verdict.STOP),
        (403, Verdict.STOP),
        (404, Verdict.STOP),
        (408, Verdict.RETRY),
        (409, Verdict.RETRY),
        (413, Verdict.ASIDE),
        (422, Verdict.ASIDE),
        (429, Verdict.RETRY),
        (500, Verdict.RETRY),
        (503, Verdict.RETRY),
        (529, Verdict.RETRY),
    ],
)
def test_what_follows_from_a_status_and_that_it_is_free(status: int, verdict: Verdict) -> None:
    assert judged(status, {"error": {"message": "no"}}) == (verdict, NOTHING)
    assert judged(status, b"<html>") == (verdict, NOTHING)


def test_errors_that_no_question_can_pass() -> None:
    assert judged(429, {"error": {"code": "insufficient_quota", "message": "m"}})[0] is Verdict.STOP
    google = [{"error": {"code": 400, "message": "API key not valid.", "details": [{"reason": "API_KEY_INVALID"}]}}]
    assert judged(400, google)[0] is Verdict.STOP
    assert judged(429, {"error": {"code": "rate_limit_exceeded", "message": "m"}})[0] is Verdict.RETRY


def test_the_servers_words_are_kept_short_and_on_one_line() -> None:
    assert judge(400, None, b'{"error": {"message": "too\\n many images"}}').reason == "HTTP 400: too many images"
    assert judge(400, None, b'[{"error": {"message": "google"}}]').reason == "HTTP 400: google"
    assert judge(500, None, b'{"error": "plain"}').reason == "HTTP 500: plain"
    assert judge(502, None, b"x" * 9999).reason == "HTTP 502: " + "x" * 500
    assert judge(502, None, b"").reason == "HTTP 502: no words"


def test_an_answer_is_an_answer_whatever_it_says() -> None:
    for say in (answer(), answer(None, "content_filter"), answer("cut", "length")):
        assert judged(200, say.content) == (Verdict.ANSWERED, Tokens(100, 20))
    assert judged(200, answer(usage=None).content) == (Verdict.ANSWERED, None)


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (b'{"choices": [', None),
        (b"[]", None),
        ({"choices": []}, None),
        ({"choices": [None], "usage": {"prompt_tokens": 7, "completion_tokens": 0}}, Tokens(7, 0)),
        ({"error": {"message": "upstream"}}, None),
    ],
)
def test_a_200_without_an_answer_is_retried_and_may_have_been_paid_for(body: Any, tokens: Tokens | None) -> None:
    assert judged(200, body) == (Verdict.RETRY, tokens)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, Tokens(10, 5)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 95}, Tokens(10, 85)),  # hidden reasoning
        ({"prompt_tokens": 10, "completion_tokens": 5}, Tokens(10, 5)),
        ({"prompt_tokens": 10, "total_tokens": 12}, Tokens(10, 2)),
        ({"prompt_tokens": 10}, None),
        ({"prompt_tokens": -1, "completion_tokens": 5}, None),
        ({"prompt_tokens": "10", "completion_tokens": True}, None),
        ("many", None),
    ],
)
def test_tokens_are_read_with_the_reasoning_that_is_not_shown(usage: Any, tokens: Tokens | None) -> None:
    assert judged(200, answer(usage=usage).content)[1] == tokens


def test_the_reply() -> None:
    reply = read_reply(answer().content, max_tokens=64)
    assert (reply.text, reply.finish_reason, reply.refusal, reply.num_tokens) == (GOOD, "stop", "", 20)
    assert not reply.is_truncated and read_reply(answer("x", "length").content, 64).is_truncated
    assert read_reply(answer(None, refusal="I will not.").content, 64).refusal == "I will not."
    parts = answer([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, "c"])  # type: ignore[arg-type]
    assert read_reply(parts.content, 64).text == "ab"


def test_retry_after() -> None:
    assert read_retry_after("20") == 20.0
    assert read_retry_after("-3") == 0.0
    for nothing in (None, "", "soon", "nan", "inf"):
        assert read_retry_after(nothing) is None
    for sign in (1, -1):
        date = format_datetime(datetime.now(UTC) + sign * timedelta(hours=10), usegmt=True)
        seconds = read_retry_after(date)
        assert seconds is not None and seconds == pytest.approx(36000.0 if sign > 0 else 0.0, abs=600)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "usage", "error", "prompt_tokens", "total_tokens"]), inner
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from([200, 400, 429, 500]), json_values)
def test_no_body_crashes_us(status: int, body: Any) -> None:
    outcome = judge(status, None, json.dumps(body).encode())
    if outcome.verdict is Verdict.ANSWERED:
        assert outcome.response is not None
        read_reply(outcome.response, 1)


@given(st.binary(max_size=40), st.text(max_size=12))
def test_no_bytes_crash_us(content: bytes, header: str) -> None:
    assert judge(200, header, content).verdict in (Verdict.RETRY, Verdict.ANSWERED)
    assert judge(503, header, content).verdict is Verdict.RETRY


def test_half_an_emoji_in_a_reply_is_fixed_and_marked() -> None:
    reply = read_reply(answer("so \ud83d\0").content, 64)
    assert (reply.text, reply.is_fixed) == ("so ��", True)
    assert not read_reply(answer("so 🐱").content, 64).is_fixed
    assert judge(400, None, b'{"error": {"message": "no \\ud83d"}}').reason == "HTTP 400: no \ufffd"
