"""Settings of the engines that sample completions beside the builtin one."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

EngineName = Literal["builtin", "vllm", "vllm_server"]


@dataclass(frozen=True)
class VLLMSettings:
    """Settings of vLLM, for ``engine`` vllm and vllm_server.

    Args:
        memory: vllm only: the share of a GPU's memory that the engine may take for weights and cache; the rest is for
            training. On a CPU cache_gib alone counts.
        cache_gib: memory for keys and values on a CPU, in GiB.
        max_length: tokens of a prompt and its completion together, at most (default: as many as the cache has room
            for).
        max_rows: completions that are decoded at one time, at most.
        sleeps: vllm only, on a GPU: weights and cache are given back while the policy learns.
        eager: run without compilation and captured graphs: starts sooner, decodes slower. On a CPU always.
        url: vllm_server only, which needs it: the address that ``python -m tvg_lightning serve`` printed (default:
            none).
        weights_folder: vllm_server only, which needs it: a folder that both machines see, for new weights after each
            update (default: none).
        timeout_s: vllm_server only: seconds without an answer after which a call has failed; rollouts wait for each
            other.
        retries: vllm_server only: further tries before the run stops.
    """

    memory: float = 0.4
    cache_gib: int = 1
    max_length: int | None = None
    max_rows: int = 64
    sleeps: bool = True
    eager: bool = False
    url: str | None = None
    weights_folder: str | None = None
    timeout_s: float = 600.0
    retries: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.memory < 1:
            raise ValueError(f"vllm.memory must lie between 0 and 1, not {self.memory}: a share of the GPU's memory")
        for name in ("cache_gib", "max_rows"):
            if (value := self.__dict__[name]) < 1:
                raise ValueError(f"vllm.{name} must be at least 1, not {value}")
        if self.max_length is not None and self.max_length < 2:
            raise ValueError(f"vllm.max_length must be at least 2, not {self.max_length}")
        if not self.timeout_s > 0:
            raise ValueError(f"vllm.timeout_s must be positive, not {self.timeout_s}")
        if self.retries < 0:
            raise ValueError(f"vllm.retries must not be negative, not {self.retries}")
        if self.url is not None and not _is_address(self.url):
            raise ValueError(f"vllm.url must be an address such as http://other-machine:8000, not {self.url!r}")


def _is_address(url: str) -> bool:
    """True for http://host, https://host:port and the like.

    >>> [_is_address(url) for url in ("http://a:8000/", "https://b", "a:8000", "http://", "http://a:99999", "http://a?b")]
    [True, True, False, False, False, False]
    """
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is none
        return False
    has_more = bool(parts.query or parts.fragment) or any(character.isspace() for character in url)
    return parts.scheme in ("http", "https") and has_host and not has_more
