"""The server's command, before it serves; what it serves is tested in tests/engines."""

from importlib.machinery import ModuleSpec

import pytest

from tvg_lightning.__main__ import main
from tvg_lightning.tools import serve


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"error: vLLM is not installed here: make install-vllm"):
        main(["serve"])
    monkeypatch.setattr(serve, "find_spec", lambda name: ModuleSpec(name, None))
    with pytest.raises(SystemExit, match=r"error: --port must lie from 0 to 65535, not 65536"):
        main(["serve", "--port", "65536"])
    with pytest.raises(SystemExit, match=r"error: vllm\.memory must lie between 0 and 1"):
        main(["serve", "--memory", "2"])
