from typing import Any

import pytest

from tvg_lightning.teacher.settings import BudgetSettings, EndpointSettings, QuestionSettings

GOOD = {"base_url": "http://127.0.0.1:8000/v1", "model": "m"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"base_url": "api.openai.com/v1"}, r"endpoint\.base_url must be like"),
        ({"base_url": "http://[::1"}, "Invalid IPv6"),
        ({"model": " "}, r"endpoint\.model is empty"),
        ({"concurrency": 0}, r"endpoint\.concurrency"),
        ({"timeout_s": 0.0}, r"endpoint\.timeout_s"),
        ({"max_retries": -1}, r"endpoint\.max_retries"),
        ({"backoff_s": float("nan")}, r"endpoint\.backoff_s"),
        ({"max_wait_s": float("inf")}, r"endpoint\.max_wait_s"),
        ({"max_failures_in_a_row": 0}, r"endpoint\.max_failures_in_a_row"),
    ],
)
def test_bad_endpoints(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        EndpointSettings(**{**GOOD, **change})


@pytest.mark.parametrize("url", ["https://me:sk-1@host/v1", "https://host/v1?key=sk-1", "https://host/v1#sk-1"])
def test_a_key_in_the_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="holds more than an address") as caught:
        EndpointSettings(**{**GOOD, "base_url": url})
    assert "sk-1" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"jpeg_quality": 0}, r"question\.jpeg_quality"),
        ({"max_video_mb": 0.0}, r"question\.max_video_mb"),
        ({"num_answers": 0}, r"question\.num_answers"),
        ({"max_tokens": 0}, r"question\.max_tokens"),
        ({"temperature": -0.1}, r"question\.temperature"),
        ({"extra": {"n": 4, "top_p": 1.0}}, r"question\.extra must not hold n:"),
    ],
)
def test_bad_questions(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        QuestionSettings(**change)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"max_requests": 0}, r"budget\.max_requests"),
        ({"usd": -1.0}, r"budget\.usd "),
        ({"usd": 1.0}, "needs budget.usd_per_million_input"),
        ({"usd_per_million_input": 1.0}, "give both or none"),
        ({"max_tokens_total": 9}, r"budget\.max_input_tokens is needed"),
        ({"usd": 1.0, "usd_per_million_input": 1.0, "usd_per_million_output": 1.0}, "max_input_tokens is needed"),
    ],
)
def test_bad_budgets(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        BudgetSettings(**change)


def test_requests_are_limited_without_knowing_their_size() -> None:
    assert not BudgetSettings(max_requests=3).limits_tokens
