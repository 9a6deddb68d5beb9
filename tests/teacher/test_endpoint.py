import asyncio
import json
import random
import socket
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.teacher.server import GOOD, Say, TeacherServer, answer, error
from tvg_lightning.teacher.endpoint import Endpoint, wait_s
from tvg_lightning.teacher.reply import Outcome, Tokens, Verdict
from tvg_lightning.teacher.settings import EndpointSettings

BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}]}).encode()
KEY = "sk-secret-0123"
NOTHING = Tokens(0, 0)


def ask(base_url: str, **change: Any) -> Outcome:
    settings = EndpointSettings(base_url, "m", **{"api_key_env": None, **change})

    async def body() -> Outcome:
        async with Endpoint(settings) as endpoint:
            return await endpoint.ask(BODY)

    return asyncio.run(body())


def test_a_question_and_its_answer(server: TeacherServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", f" {KEY}\n")
    outcome = ask(f"{server.base_url}/", api_key_env="TEST_KEY")
    assert (outcome.verdict, outcome.tokens) == (Verdict.ANSWERED, Tokens(100, 20))
    assert outcome.response is not None and outcome.response["choices"][0]["message"]["content"] == GOOD
    assert server.paths == ["/v1/chat/completions"]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert server.headers[0]["Content-Type"] == "application/json"
    assert server.bodies == [json.loads(BODY)]


def test_a_server_without_a_key_gets_none(server: TeacherServer) -> None:
    assert ask(server.base_url).verdict is Verdict.ANSWERED
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize(
    ("say", "verdict", "tokens", "reason"),
    [
        (error(429, "slow down", Retry_After="7"), Verdict.RETRY, NOTHING, "HTTP 429: slow down"),
        (error(500, "oops"), Verdict.RETRY, NOTHING, "HTTP 500: oops"),
        (error(401, "who"), Verdict.STOP, NOTHING, "HTTP 401: who"),
        (Say({}, 307, {"Location": "http://127.0.0.1:1/"}), Verdict.STOP, NOTHING, "HTTP 307: {}"),
        (Say(b'{"choices"'), Verdict.RETRY, None, "the answer is not a JSON object"),
        (Say({"choices": []}), Verdict.RETRY, None, "the answer has no choices"),
        (replace(answer(), break_off=True), Verdict.RETRY, None, "the connection broke off: RemoteProtocolError"),
        (Say(hang=True), Verdict.RETRY, None, "no whole answer within endpoint.timeout_s, 0.2 s"),
        (
            Say(b"this is no gzip", headers={"Content-Encoding": "gzip"}),
            Verdict.RETRY,
            None,
            "the connection broke off: Decoding",
        ),
    ],
)
def test_misbehaviour(server: TeacherServer, say: Say, verdict: Verdict, tokens: Tokens | None, reason: str) -> None:
    server.plan = lambda query, n: say
    outcome = ask(server.base_url, timeout_s=0.2 if say.hang else 60.0)
    assert (outcome.verdict, outcome.tokens) == (verdict, tokens)
    assert outcome.reason.startswith(reason)
    assert outcome.retry_after_s == (7.0 if say.status == 429 else None)


def test_no_server_is_free_of_charge() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        outcome = ask(f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
    assert (outcome.verdict, outcome.tokens) == (Verdict.RETRY, NOTHING)
    assert outcome.reason.startswith("no connection")


def test_a_key_that_the_server_repeats_is_hidden(server: TeacherServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    for say in (error(401, f"bad key {KEY}"), answer(f"your key is {KEY}")):
        server.plan = lambda query, n, say=say: say
        assert KEY not in repr(ask(server.base_url, api_key_env="TEST_KEY"))
        assert "[key]" in repr(ask(server.base_url, api_key_env="TEST_KEY"))


@pytest.mark.parametrize("value", [None, "", "  ", "two\nlines", "schlüssel"])
def test_a_key_that_is_none(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("TEST_KEY", value)
    with pytest.raises(ValueError, match=r"endpoint\.api_key_env: .*TEST_KEY") as caught:
        Endpoint(EndpointSettings("http://127.0.0.1/v1", "m", "TEST_KEY"))
    assert not (value or "").strip() or str(value) not in str(caught.value)


SETTINGS = EndpointSettings("http://127.0.0.1/v1", "m", backoff_s=2.0, max_wait_s=60.0)


@given(st.integers(1, 1000), st.none() | st.floats(0.0, 1e6), st.integers())
def test_waits_grow_up_to_a_bound_and_heed_the_server(num_failed: int, wish_s: float | None, seed: int) -> None:
    seconds = wait_s(num_failed, wish_s, SETTINGS, random.Random(seed))
    longest_s = min(2.0 * 2.0 ** (num_failed - 1), 60.0)
    assert max(longest_s / 2, wish_s or 0.0) <= seconds <= max(longest_s, wish_s or 0.0)


def test_waits_are_spread_and_repeatable() -> None:
    waits = [[wait_s(n, None, SETTINGS, random.Random(7)) for n in (1, 2, 3)] for _ in range(2)]
    assert waits[0] == waits[1]
    chance = random.Random(7)
    assert len({wait_s(1, None, SETTINGS, chance) for _ in range(8)}) == 8
