"""Engines by their words, and what is refused before weights load."""

from importlib.machinery import ModuleSpec

import pytest

from tvg_lightning.engines import choice
from tvg_lightning.engines.choice import engine_of
from tvg_lightning.engines.settings import VLLMSettings
from tvg_lightning.engines.vllm import VLLMEngine
from tvg_lightning.policy.generation import generate


def test_words(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine_of("builtin", None) is generate
    assert engine_of(generate, None) is generate
    remote = engine_of("vllm_server", VLLMSettings(url="http://a:1", weights_folder="w"))
    assert isinstance(remote, VLLMEngine)
    assert remote.is_remote
    monkeypatch.setattr(choice, "find_spec", lambda name: ModuleSpec(name, None))
    local = engine_of("vllm", None)
    assert isinstance(local, VLLMEngine)
    assert not local.is_remote
    choice.release(local)  # nothing has been started
    choice.release(generate)


def test_a_penalty_is_refused_where_vllm_would_go_on_from_a_beginning() -> None:
    remote = VLLMEngine(VLLMSettings(url="http://a:1", weights_folder="w"), is_remote=True)
    for engine, penalty in ((generate, 0.5), (remote, 0.0)):
        choice.check_beginnings(engine, penalty)
    with pytest.raises(ValueError, match=r"presence_penalty 0\.5: on vLLM .*empty_thought.*take engine builtin"):
        choice.check_beginnings(remote, 0.5)


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="engine vllm: vLLM is not installed here: make install-vllm"):
        engine_of("vllm", None)
    with pytest.raises(ValueError, match=r"engine is builtin: leave it out"):
        engine_of("builtin", VLLMSettings())
    with pytest.raises(ValueError, match=r"engine vllm_server needs model\.init_args\.vllm\.url"):
        engine_of("vllm_server", None)
    with pytest.raises(ValueError, match=r"engine vllm_server needs model\.init_args\.vllm\.weights_folder"):
        engine_of("vllm_server", VLLMSettings(url="http://a:1"))
