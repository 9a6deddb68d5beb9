"""Our families as vLLM runs them: its layers, caches and sampler behind our prompts, positions and features.

vLLM would read a video by a processor of its own, count positions by rules of its own, and load a second vision tower.
These classes take all three from the request, so the only thing computed twice is the language model.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from vllm import ModelRegistry
from vllm.model_executor.models.qwen2_5_vl import Qwen2_5_VLForConditionalGeneration
from vllm.model_executor.models.qwen2_vl import Qwen2VLForConditionalGeneration
from vllm.model_executor.models.qwen3_vl import Qwen3VLForConditionalGeneration
from vllm.multimodal import MULTIMODAL_REGISTRY
from vllm.multimodal.inputs import MultiModalBatchedField, MultiModalFieldElem, MultiModalKwargsItem
from vllm.multimodal.processing import BaseMultiModalProcessor, BaseProcessingInfo
from vllm.multimodal.processing.dummy_inputs import BaseDummyInputsBuilder

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
    log-probs, so what it reports is what the loss computes. ``temperature`` is set before every call.
    """

    temperature: float = 1.0
    suppressed: Tensor | None = None

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


_register = MULTIMODAL_REGISTRY.register_processor(_NoProcessor, info=_Info, dummy_inputs=_NoDummies)


@_register
class RolloutQwen2_5VL(_OurPrompts, Qwen2_5_VLForConditionalGeneration):
    """Qwen2.5-VL."""


@_register
class RolloutQwen2VL(_OurPrompts, Qwen2VLForConditionalGeneration):
    """Qwen2-VL."""


@_register
class RolloutQwen3VL(_OurPrompts, Qwen3VLForConditionalGeneration):
    """Qwen3-VL: features of deepstack stand beside the merger's, as vLLM's own tower gives them."""

    def __init__(self, *, vllm_config: Any, prefix: str = "model") -> None:
        """Without its tower vLLM expects no features of deepstack; there are some all the same."""
        super().__init__(vllm_config=vllm_config, prefix=prefix)
        config, room = self.config, vllm_config.scheduler_config.max_num_batched_tokens
        self.use_deepstack = True
        self.deepstack_num_level = len(config.vision_config.deepstack_visual_indexes)
        self.multiscale_dim = self.visual_dim * self.deepstack_num_level
        self.deepstack_input_embeds = [
            torch.zeros(room, config.text_config.hidden_size) for _ in range(self.deepstack_num_level)
        ]
        self.deepstack_input_embeds_num_tokens = 0


MODELS = {"qwen2_5_vl": RolloutQwen2_5VL, "qwen2_vl": RolloutQwen2VL, "qwen3_vl": RolloutQwen3VL}


def register(model_type: str) -> str:
    """Make vLLM know the class of a family; returns the name to give it as the architecture."""
    if model_type not in MODELS:
        raise ValueError(f"engine vllm: no class for the architecture {model_type}; there are {', '.join(MODELS)}")
    name = MODELS[model_type].__name__
    ModelRegistry.register_model(name, MODELS[model_type])
    return name


def video_item(features: Tensor, positions_3L: Tensor) -> MultiModalKwargsItem:
    """The video of a request, for the methods above."""
    return MultiModalKwargsItem(
        {
            FEATURES: MultiModalFieldElem(data=features, field=MultiModalBatchedField()),
            POSITIONS: MultiModalFieldElem(data=positions_3L, field=MultiModalBatchedField(keep_on_cpu=True)),
        }
    )
