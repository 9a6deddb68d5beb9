"""Our families as vLLM runs them: its layers, caches and sampler behind our prompts, positions and features.

vLLM would read a video by a processor of its own, count positions by rules of its own, and load a second vision tower.
These classes take all three from the request, so the only thing computed twice is the language model.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from vllm import ModelRegistry
from vllm.multimodal import MULTIMODAL_REGISTRY
from vllm.multimodal.inputs import MultiModalBatchedField, MultiModalFieldElem, MultiModalKwargsItem
from vllm.multimodal.processing import BaseMultiModalProcessor, BaseProcessingInfo
from vllm.multimodal.processing.dummy_inputs import BaseDummyInputsBuilder

from tvg_lightning.policy.families.family import Family

FEATURES, POSITIONS = "video_embeds", "position_ids"


class _Info(BaseProcessingInfo):
    """Requests come with features, so there is nothing to process: a video may have as many tokens as a prompt."""

    def get_supported_mm_limits(self) -> Mapping[str, int | None]:
        return {"video": 1}

    def get_mm_max_tokens_per_item(self, seq_len: int, mm_counts: Mapping[str, int]) -> Mapping[str, int] | None:
        return {"video": seq_len}


class _NoDummies(BaseDummyInputsBuilder[_Info]):
    def get_dummy_text(self, mm_counts: Mapping[str, int]) -> str:
        return ""

    def get_dummy_mm_data(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {}


class _NoProcessor(BaseMultiModalProcessor[_Info]):
    def _get_mm_fields_config(self, *args: Any) -> Mapping[str, Any]:
        return {}

    def _get_prompt_updates(self, *args: Any) -> Sequence[Any]:
        return []


class _OurPrompts:
    """The parts of a model that read a prompt, and our distribution over tokens.

    Temperature and suppressed tokens belong to the policy (``policy.logits``): they enter before vLLM takes its
    log-probs, so what it reports is what the loss computes."""

    temperature: float = 1.0
    suppressed: Tensor | None = None

    def __init__(self, *, vllm_config: Any, prefix: str = "") -> None:
        """Without its tower vLLM expects no features for deepstack; a family that has some gets them all the same."""
        super().__init__(vllm_config=vllm_config, prefix=prefix)  # type: ignore[call-arg]
        config = vllm_config.model_config.hf_config
        levels = len(config.vision_config.to_dict().get("deepstack_visual_indexes", ()))
        if levels:
            room, width = vllm_config.scheduler_config.max_num_batched_tokens, config.text_config.hidden_size
            self.use_deepstack, self.deepstack_num_level = True, levels
            self.multiscale_dim = config.vision_config.out_hidden_size * levels
            self.deepstack_input_embeds = [torch.zeros(room, width) for _ in range(levels)]
            self.deepstack_input_embeds_num_tokens = 0

    def forget_features(self) -> None:
        """Empty the buffers of deepstack, which steps without a video add, too; in place, for captured graphs."""
        for buffer in vars(self).get("deepstack_input_embeds", ()):
            buffer.zero_()

    def take_temperature(self, temperature: float) -> None:
        """The temperature of all completions until it is called again; 0 is for greedy ones, whose logits stay."""
        self.temperature = temperature

    def embed_multimodal(self, **kwargs: Any) -> tuple[Tensor, ...]:
        return tuple(kwargs[FEATURES])

    def get_mrope_input_positions(self, input_tokens: list[int], mm_features: list[Any]) -> tuple[Tensor, int]:
        (video,) = mm_features
        positions_3L = video.data[POSITIONS].data
        return positions_3L, int(positions_3L.max()) + 1 - len(input_tokens)

    def compute_logits(self, hidden_states: Tensor, *args: Any) -> Tensor | None:
        logits_NV: Tensor | None = super().compute_logits(hidden_states, *args)  # type: ignore[misc]
        if logits_NV is None:
            return None
        logits_NV = logits_NV.float()
        if self.temperature > 0:
            logits_NV = logits_NV.div_(self.temperature)
        if self.suppressed is None:
            self.suppressed = torch.tensor(self.config.suppressed_ids, device=logits_NV.device)  # type: ignore[attr-defined]
        return logits_NV.index_fill_(1, self.suppressed, float("-inf"))


@cache
def register(family: Family) -> str:
    """Make vLLM know a class for a family; returns the name to give it as the architecture."""
    module, name = family.vllm_class
    ours = type(f"Rollout{name}", (_OurPrompts, vars(import_module(module))[name]), {})
    MULTIMODAL_REGISTRY.register_processor(_NoProcessor, info=_Info, dummy_inputs=_NoDummies)(ours)
    ModelRegistry.register_model(ours.__name__, ours)
    return ours.__name__


def video_item(features: Tensor, positions_3L: Tensor) -> MultiModalKwargsItem:
    """The video of a request, for the methods above."""
    return MultiModalKwargsItem(
        {
            FEATURES: MultiModalFieldElem(data=features, field=MultiModalBatchedField()),
            POSITIONS: MultiModalFieldElem(data=positions_3L, field=MultiModalBatchedField(keep_on_cpu=True)),
        }
    )
