"""Settings that cannot be are refused by their names."""

from typing import Any

import pytest

from tvg_lightning.engines.settings import VLLMSettings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("memory", 0.0),
        ("memory", 1.0),
        ("cache_gib", 0),
        ("max_rows", 0),
        ("max_length", 1),
        ("timeout_s", 0.0),
        ("timeout_s", float("nan")),
        ("retries", -1),
        ("url", "localhost:8000"),
    ],
)
def test_refused(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^vllm\.{key} must"):
        VLLMSettings(**{key: value})
