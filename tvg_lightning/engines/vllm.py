"""The rollout engine on vLLM: in this process (each process of a run has its own), or on a server."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tvg_lightning.engines.asking import asked
from tvg_lightning.engines.settings import VLLMSettings
from tvg_lightning.engines.vllm_local import EngineModel, LocalVLLM
from tvg_lightning.engines.weights import engine_weights
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import Completion, Prefixes
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.policy.settings import GenerationSettings

if TYPE_CHECKING:
    from tvg_lightning.engines.vllm_remote import RemoteVLLM


class VLLMEngine:
    """A ``RolloutEngine`` on vLLM: started at the first call, given the policy's weights whenever they have changed."""

    def __init__(self, settings: VLLMSettings, is_remote: bool = False) -> None:
        self.settings, self.is_remote = settings, is_remote
        self._vllm: LocalVLLM | RemoteVLLM | None = None
        self._loaded: object = None  # the state of the policy whose weights the engine has

    def __call__(
        self,
        policy: PolicyBackbone,
        prompts: Sequence[EncodedPrompt],
        features: Sequence[Tensor],
        num_generations: int,
        generation: GenerationSettings,
        uniform_RT: Tensor | None = None,
        prefixes: Prefixes | None = None,
    ) -> list[list[Completion]]:
        question = asked(policy, prompts, features, num_generations, generation, uniform_RT, prefixes)
        if self._vllm is None:
            with tempfile.TemporaryDirectory(prefix="tvg-vllm-") as folder:  # all is read at the start
                is_remote, settings = self.is_remote, self.settings
                model = engine_model(policy, Path(folder), is_remote)
                self._vllm = _remote(model, settings) if is_remote else LocalVLLM(model, settings, policy.device)
        state = id(policy), policy.weights_state
        if self._loaded != state:
            self._loaded = None  # a load that fails leaves none
            self._vllm.load(engine_weights(policy))
            self._loaded = state
        rows = self._vllm.generate(question)
        completions = [Completion(row.ids, policy.completion_text(row.ids), row.logp, row.truncated) for row in rows]
        return [completions[i : i + num_generations] for i in range(0, len(completions), num_generations)]

    def release(self) -> None:
        """Give memory back while the policy learns; the next call loads the weights anew."""
        if isinstance(self._vllm, LocalVLLM) and self._vllm.release():
            self._loaded = None


def _remote(model: EngineModel, settings: VLLMSettings) -> "RemoteVLLM":
    from tvg_lightning.engines.vllm_remote import RemoteVLLM  # needs httpx, which a run without a server does not

    return RemoteVLLM(model, settings)


def engine_model(policy: PolicyBackbone, folder: Path, is_remote: bool = False) -> EngineModel:
    """The policy's model for an engine; its config and tokenizer are written into the folder."""
    config = policy.model.config.to_dict()
    config.pop("quantization_config", None)  # weights are given as what the 4-bit codes stand for
    if is_remote or policy.device.type == "cpu":
        # vLLM packs a copy of the head for its products on CPUs, and of a tied one would keep the first weights
        config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = False
    type(policy.model.config).from_dict(config).save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)
    kind = policy.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else policy.head.dtype
    return EngineModel(folder, policy.family.model_type, dtype, tuple(policy.suppressed_ids.tolist()))
