"""Exact numbers of parameters, from a model that is built without memory."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tvg_lightning.plan.settings import PlanSettings
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.families.family import Family, TowerSizes
from tvg_lightning.policy.loading import ARCHITECTURES, PACKAGED
from tvg_lightning.policy.settings import PolicySettings

# bitsandbytes' nf4, quantized twice: 4 bits, a byte of scale for 64 of them, 4 bytes of scale for 256 of those bytes
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)


@dataclass(frozen=True, slots=True)
class Architecture:
    """A policy in numbers. Counts are of parameters; one that is used twice (a tied head) counts once."""

    text: Any  # the configs of the language model and the vision tower, of the family's classes
    vision: Any
    tower: TowerSizes
    family: Family
    side: int  # pixels of a video token's side
    norms_queries: bool  # queries and keys have norms
    total: int
    trained: int
    quantized: int  # held in 4 bits
    layer: int  # one decoder layer, which is gathered and summed up as one where weights are cut
    layer_trained: int
    root: int  # all beside layers and blocks, likewise: embedding, head, ends of the tower
    root_trained: int
    head: int
    tied: bool
    largest_trained: int
    # weights of products that are in float32, which autocast casts; kept: without MLPs' last, which is cast once more
    matrices: int  # of all decoder layers
    matrices_kept: int
    tower_matrices_kept: int
    merger_matrices: int

    @property
    def patch_numbers(self) -> int:
        return self.family.geometry.numbers

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
            dtype=settings.weight_dtype,
        ),
        settings.tuning == "qlora",
    )


@lru_cache  # advice asks for the same few over and over
def _count(settings: PolicySettings, quantized: bool) -> Architecture:
    with torch.device("meta"):
        policy = PolicyBackbone(settings)
    visual, language_model = policy.model.model.visual, policy.model.model.language_model
    blocks = (*visual.blocks, *language_model.layers)
    adapted = sum(p.numel() for name, p in policy.named_parameters() if name.endswith("base_layer.weight"))
    return Architecture(
        policy.text_config,
        policy.vision_config,
        policy.family.tower_sizes(policy.vision_config),
        policy.family,
        policy.side,
        any(name.endswith("q_norm") for name, _ in language_model.layers[0].named_modules()),
        total=_numbers(policy),
        trained=_numbers(policy, trained=True),
        quantized=adapted if quantized else 0,
        layer=_numbers(language_model.layers[0]),
        layer_trained=_numbers(language_model.layers[0], trained=True),
        root=_numbers(policy) - sum(_numbers(block) for block in blocks),
        root_trained=_numbers(policy, trained=True) - sum(_numbers(block, trained=True) for block in blocks),
        head=policy.head.numel(),
        tied=policy.head is language_model.embed_tokens.weight,
        largest_trained=max(p.numel() for p in policy.parameters() if p.requires_grad),
        matrices=_matrices(language_model.layers),
        matrices_kept=_matrices(language_model.layers, but="down_proj"),
        tower_matrices_kept=_matrices(visual.blocks, but="down_proj"),
        merger_matrices=sum(_matrices(merger) for merger in policy.family.mergers(visual)),
    )


def _numbers(module: nn.Module, trained: bool = False) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trained)


def _matrices(module: nn.Module, but: str | None = None) -> int:
    """Numbers in float32 weights of products."""
    weights = [(name, m.weight) for name, m in module.named_modules() if isinstance(m, nn.Linear)]
    return sum(w.numel() for name, w in weights if w.dtype is torch.float32 and not (but and but in name))


def config_file(policy: str) -> Path:
    """The config.json of a packaged policy, of a name in policy/architectures, of a folder, or a file itself."""
    candidates = [
        PACKAGED[policy] / "config.json" if policy in PACKAGED else ARCHITECTURES / f"{policy}.json",
        Path(policy) / "config.json",
        Path(policy),
    ]
    for file in candidates:
        if file.is_file():
            return file
    names = ", ".join(sorted(file.stem for file in ARCHITECTURES.glob("*.json")))
    raise ValueError(f'--policy: there is no "{policy}"; give tiny, {names}, or a folder with a config.json')
