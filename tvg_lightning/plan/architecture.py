"""Exact numbers of parameters, from a model that is built without memory."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from transformers import Qwen2_5_VLTextConfig
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig

from tvg_lightning.plan.settings import PlanSettings
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.loading import TINY_FOLDER
from tvg_lightning.policy.settings import PolicySettings

# bitsandbytes' nf4, quantized twice: 4 bits, a byte of scale for 64 of them, 4 bytes of scale for 256 of those bytes
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)


@dataclass(frozen=True, slots=True)
class Architecture:
    """A policy in numbers. Counts are of parameters; one that is used twice (a tied head) counts once."""

    text: Qwen2_5_VLTextConfig
    vision: Qwen2_5_VLVisionConfig
    total: int
    trained: int
    quantized: int  # held in 4 bits
    layer: int  # of one decoder layer, the largest part that is gathered at a time where weights are cut
    head: int
    tied: bool
    largest_trained: int

    def weight_bytes(self, dtype_bytes: int) -> float:
        return (self.total - self.quantized) * dtype_bytes + self.quantized * NF4_BYTES


def read_architecture(config: Path, settings: PlanSettings) -> Architecture:
    """Build the policy of a config.json on the meta device, and count."""
    return _count(
        PolicySettings(
            str(config),
            tuning="full" if settings.tuning == "full" else "lora",
            lora_rank=settings.lora_rank,
            train_vision_tower=settings.train_vision_tower,
            train_merger=settings.train_merger,
            dtype=settings.dtype,
        ),
        settings.tuning == "qlora",
    )


@lru_cache  # advice asks for the same few over and over
def _count(settings: PolicySettings, quantized: bool) -> Architecture:
    with torch.device("meta"):
        policy = PolicyBackbone(settings)
    trained = [p.numel() for p in policy.parameters() if p.requires_grad]
    adapted = sum(p.numel() for name, p in policy.named_parameters() if name.endswith("base_layer.weight"))
    return Architecture(
        policy.text_config,
        policy.vision_config,
        total=sum(p.numel() for p in policy.parameters()),
        trained=sum(trained),
        quantized=adapted if quantized else 0,
        layer=sum(p.numel() for p in policy.model.model.language_model.layers[0].parameters()),
        head=policy.head.numel(),
        tied=policy.head is policy.model.model.language_model.embed_tokens.weight,
        largest_trained=max(trained),
    )


def config_file(policy: str) -> Path:
    """The config.json of "tiny", of a name in configs/policy/architectures, of a folder, or a file itself."""
    architectures = Path(__file__).parents[2] / "configs" / "policy" / "architectures"
    candidates = [
        TINY_FOLDER / "config.json" if policy == "tiny" else architectures / f"{policy}.json",
        Path(policy) / "config.json",
        Path(policy),
    ]
    for file in candidates:
        if file.is_file():
            return file
    names = ", ".join(sorted(file.stem for file in architectures.glob("*.json")))
    raise ValueError(f'--policy: there is no "{policy}"; give tiny, {names}, or a folder with a config.json')
