"""Settings of the teacher: where it is, what it is asked, and how much may be spent on it."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from tvg_lightning.data.video import FrameSettings

MaxTokensKey = Literal["max_tokens", "max_completion_tokens"]
_OWN_KEYS = frozenset({"model", "messages", "n", "stream", "max_tokens", "max_completion_tokens", "temperature"})


@dataclass(frozen=True)
class EndpointSettings:
    """Any endpoint that answers ``POST {base_url}/chat/completions`` as OpenAI's does.

    Try k of a question waits ``backoff_s * 2^k`` seconds, up to half of it less by chance (seeded), at least what
    Retry-After asks for.

    Args:
        base_url: address of the server, up to and without /chat/completions.
        model: name of the model as the server knows it.
        api_key_env: name of the environment variable that holds the key; null for a server without one.
        concurrency: questions under way at once.
        timeout_s: seconds for a whole answer.
        max_retries: tries of a question after the first.
        backoff_s: seconds before the first retry; they double with each.
        max_wait_s: most seconds to wait for the server; where it asks for more, the run stops.
        max_failures_in_a_row: questions that fail in a row until the run stops.
        seed: seed of the waiting times.
    """

    base_url: str
    model: str
    api_key_env: str | None = "OPENAI_API_KEY"
    concurrency: int = 4
    timeout_s: float = 300.0
    max_retries: int = 5
    backoff_s: float = 1.0
    max_wait_s: float = 120.0
    max_failures_in_a_row: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"endpoint.base_url must be like https://api.openai.com/v1, got {self.base_url!r}")
        if url.username is not None or url.password is not None or url.query or url.fragment:
            # the text may hold a key, so it is not repeated
            raise ValueError("endpoint.base_url holds more than an address; give the key by endpoint.api_key_env")
        if not self.model.strip():
            raise ValueError("endpoint.model is empty: name the teacher as its server does")
        for name, count in (("concurrency", self.concurrency), ("max_failures_in_a_row", self.max_failures_in_a_row)):
            if count < 1:
                raise ValueError(f"endpoint.{name} must be at least 1, got {count}")
        if self.max_retries < 0:
            raise ValueError(f"endpoint.max_retries must be 0 or more, got {self.max_retries}")
        for name, value in (
            ("timeout_s", self.timeout_s),
            ("backoff_s", self.backoff_s),
            ("max_wait_s", self.max_wait_s),
        ):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"endpoint.{name} must be a positive number of seconds, got {value}")


@dataclass(frozen=True)
class QuestionSettings:
    """The request for one query. Most changes make another question, which is paid for anew.

    Not so num_answers, max_video_mb and max_tokens: more of them asks for more answers, and again for truncated ones.

    Args:
        input: frames sends JPEG images, each after its time in seconds; video sends the whole file.
        frames: the frames that are sent; their tokens are of 28 x 28 pixels.
        jpeg_quality: quality of the images, 1 to 95.
        image_detail: detail in which images are seen, as OpenAI names it (default: the server's own).
        max_video_mb: megabytes of a file that is sent, at most.
        num_answers: answers to each query.
        max_tokens: tokens of an answer, hidden reasoning included.
        max_tokens_key: name of that bound in the request; OpenAI's reasoning models take max_completion_tokens only.
        temperature: sampling temperature of the answers (default: the server's own).
        extra: more keys of the request, passed on as they are.
    """

    input: Literal["frames", "video"] = "frames"
    frames: FrameSettings = field(default_factory=lambda: FrameSettings(uniform_frames=64))
    jpeg_quality: int = 85
    image_detail: Literal["auto", "low", "high"] | None = None
    max_video_mb: float = 14.0
    num_answers: int = 1
    max_tokens: int = 8192
    max_tokens_key: MaxTokensKey = "max_tokens"
    temperature: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.jpeg_quality <= 95:
            raise ValueError(f"question.jpeg_quality must be within 1 and 95, got {self.jpeg_quality}")
        if not (math.isfinite(self.max_video_mb) and self.max_video_mb > 0):
            raise ValueError(f"question.max_video_mb must be a positive number, got {self.max_video_mb}")
        for name, count in (("num_answers", self.num_answers), ("max_tokens", self.max_tokens)):
            if count < 1:
                raise ValueError(f"question.{name} must be at least 1, got {count}")
        if self.temperature is not None and not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"question.temperature must be 0 or more, or null, got {self.temperature}")
        taken = sorted(self.extra.keys() & _OWN_KEYS)
        if taken:
            raise ValueError(f"question.extra must not hold {', '.join(taken)}: that is set elsewhere")


@dataclass(frozen=True)
class BudgetSettings:
    """Limits on what one output folder may cost in all its runs; null is no limit.

    A request is sent only if its worst case, max_input_tokens and ``question.max_tokens``, still fits beside
    all that is under way; so max_input_tokens, the most that one question's input can count, must be given for
    a limit on tokens or money. Look at the first answers' usage for it; images count differently everywhere.

    Args:
        max_requests: requests to send, at most (default: no limit).
        max_tokens_total: tokens, in and out, at most (default: no limit).
        usd: US dollars to spend, at most; needs both prices (default: no limit).
        usd_per_million_input: price of a million tokens of input, in US dollars (default: not known).
        usd_per_million_output: price of a million tokens of output, in US dollars (default: not known).
        max_input_tokens: most tokens that one question's input can count; needed for a limit on tokens or dollars
            (default: not known).
    """

    max_requests: int | None = None
    max_tokens_total: int | None = None
    usd: float | None = None
    usd_per_million_input: float | None = None
    usd_per_million_output: float | None = None
    max_input_tokens: int | None = None

    def __post_init__(self) -> None:
        for name, count in (
            ("max_requests", self.max_requests),
            ("max_tokens_total", self.max_tokens_total),
            ("max_input_tokens", self.max_input_tokens),
        ):
            if count is not None and count < 1:
                raise ValueError(f"budget.{name} must be at least 1, or null, got {count}")
        for name, value in (
            ("usd", self.usd),
            ("usd_per_million_input", self.usd_per_million_input),
            ("usd_per_million_output", self.usd_per_million_output),
        ):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"budget.{name} must be a number of 0 or more, or null, got {value}")
        if (self.usd_per_million_input is None) != (self.usd_per_million_output is None):
            raise ValueError("budget.usd_per_million_input and budget.usd_per_million_output: give both or none")
        if self.usd is not None and not self.has_prices:
            raise ValueError("budget.usd needs budget.usd_per_million_input and budget.usd_per_million_output")
        if self.limits_tokens and self.max_input_tokens is None:
            raise ValueError("budget.max_input_tokens is needed for a limit on tokens or money: see --help")

    @property
    def has_prices(self) -> bool:
        return self.usd_per_million_input is not None and self.usd_per_million_output is not None

    @property
    def limits_tokens(self) -> bool:
        return self.max_tokens_total is not None or self.usd is not None
