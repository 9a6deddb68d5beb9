"""The rollout engine that ``model.init_args.engine`` names."""

from importlib.util import find_spec

from tvg_lightning.engines.asking import check_penalty
from tvg_lightning.engines.settings import EngineName, VLLMSettings
from tvg_lightning.engines.vllm import VLLMEngine
from tvg_lightning.policy.generation import RolloutEngine, generate


def engine_of(engine: EngineName | RolloutEngine, settings: VLLMSettings | None) -> RolloutEngine:
    """An engine by its plain word, or the one that is given; ValueError where it cannot run, before weights load."""
    if callable(engine):
        return engine
    if engine == "builtin":
        if settings is not None:
            raise ValueError("model.init_args.vllm is for engine vllm or vllm_server; engine is builtin: leave it out")
        return generate
    settings = settings or VLLMSettings()
    if engine == "vllm_server":
        for name in ("url", "weights_folder"):
            if not settings.__dict__[name]:
                raise ValueError(f"engine vllm_server needs model.init_args.vllm.{name} (docs/rollouts.md)")
    elif find_spec("vllm") is None:
        raise ValueError(
            "engine vllm: vLLM is not installed here: make install-vllm (docs/rollouts.md), or leave "
            "model.init_args.engine at builtin"
        )
    return VLLMEngine(settings, is_remote=engine == "vllm_server")


def check_beginnings(engine: RolloutEngine, presence_penalty: float) -> None:
    """ValueError for a penalty that the engine cannot give to completions with given beginnings."""
    if isinstance(engine, VLLMEngine):
        check_penalty(presence_penalty)


def release(engine: RolloutEngine) -> None:
    """Let an engine give its memory back until it is asked again, where it can."""
    if isinstance(engine, VLLMEngine):
        engine.release()
