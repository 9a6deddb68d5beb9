"""One HTTP request to a teacher, and how long to wait before the next try."""

import asyncio
import os
import random
from types import TracebackType
from typing import Self

import httpx

from tvg_lightning.teacher.reply import NOTHING, Outcome, Verdict, judge
from tvg_lightning.teacher.settings import EndpointSettings


class Endpoint:
    """Posts questions; whatever goes wrong comes back as an Outcome, never as an exception."""

    def __init__(self, settings: EndpointSettings) -> None:
        """ValueError where the environment variable of the key is not set."""
        self.settings = settings
        self._key = _read_key(settings.api_key_env)
        self._url = f"{settings.base_url.rstrip('/')}/chat/completions"
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        limits = httpx.Limits(max_connections=settings.concurrency)
        self._client = httpx.AsyncClient(headers=headers, timeout=None, limits=limits)  # the whole answer is timed

    async def ask(self, body: bytes) -> Outcome:
        """One try. A time-out or a connection that breaks off may have been paid for; one never made was not."""
        timeout_s = self.settings.timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._client.post(self._url, content=body)
        except TimeoutError:
            return Outcome(Verdict.RETRY, f"no whole answer within endpoint.timeout_s, {timeout_s:g} s", None)
        except httpx.ConnectError as error:
            return Outcome(Verdict.RETRY, f"no connection: {self._hide_key(str(error))}", NOTHING)
        except httpx.UnsupportedProtocol as error:
            return Outcome(Verdict.STOP, f"endpoint.base_url: {self._hide_key(str(error))}", NOTHING)
        except (httpx.HTTPError, httpx.StreamError) as error:
            words = self._hide_key(str(error))
            return Outcome(Verdict.RETRY, f"the connection broke off: {type(error).__name__} {words}".rstrip(), None)
        content = response.content
        if self._key:  # some servers repeat it in their complaint, and what they say is kept
            content = content.replace(self._key.encode(), b"[key]")
        return judge(response.status_code, response.headers.get("Retry-After"), content)

    def _hide_key(self, words: str) -> str:
        return words.replace(self._key, "[key]") if self._key else words

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()


def wait_s(num_failed: int, retry_after_s: float | None, settings: EndpointSettings, chance: random.Random) -> float:
    """Seconds before the next try: ``backoff_s * 2^(num_failed - 1) * U(0.5, 1)``, at least what the server asks.

    The back-off stays within max_wait_s; the server's wish may be above it, which the caller refuses.
    """
    longest_s = min(settings.backoff_s * 2.0 ** min(num_failed - 1, 60), settings.max_wait_s)
    return max(longest_s * chance.uniform(0.5, 1.0), retry_after_s or 0.0)


def _read_key(name: str | None) -> str:
    if name is None:
        return ""
    key = os.environ.get(name, "").strip()
    if not key:
        raise ValueError(
            f"endpoint.api_key_env: the environment variable {name} is not set; put the key there, "
            "or give null for a server without a key"
        )
    if not (key.isascii() and key.isprintable()):
        raise ValueError(f"endpoint.api_key_env: {name} does not hold a key (blanks or signs no header can carry)")
    return key
