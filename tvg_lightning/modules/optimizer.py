"""The optimizer of a stage: one group of parameters for each part of the policy, each with its own rate."""

from dataclasses import asdict
from typing import Any

import torch
from bitsandbytes.optim.adamw import AdamW8bit, PagedAdamW8bit, PagedAdamW32bit
from torch.nn import Parameter
from torch.optim import Optimizer

from tvg_lightning.modules.settings import OptimizerName, OptimizerSettings, PartSettings
from tvg_lightning.policy.backbone import PolicyBackbone

_OF_NAME: dict[OptimizerName, Any] = {
    "adamw": torch.optim.AdamW,
    "adamw_8bit": AdamW8bit,
    "paged_adamw": PagedAdamW32bit,
    "paged_adamw_8bit": PagedAdamW8bit,
}


def make_optimizer(policy: PolicyBackbone, settings: OptimizerSettings) -> Optimizer:
    """AdamW over what is trained, as the settings have it."""
    groups = parameter_groups(policy, settings)
    make, on_gpu = _OF_NAME[settings.name], groups[0]["params"][0].is_cuda
    if settings.name == "adamw":
        return make(groups, settings.lr, settings.betas, fused=on_gpu)
    if settings.name.startswith("paged") and not on_gpu:
        raise ValueError(f"optimizer.name {settings.name} needs a GPU to page from: take adamw or adamw_8bit here")
    return make(groups, settings.lr, settings.betas)


def parameter_groups(policy: PolicyBackbone, settings: OptimizerSettings) -> list[dict[str, Any]]:
    """The trained parameters by part, in the order of the model; a part without any has no group."""
    parts: dict[str, list[Parameter]] = {"language_model": [], "merger": [], "vision_tower": []}
    for name, parameter in policy.named_parameters():
        if parameter.requires_grad:
            part = "merger" if ".visual.merger." in name else "vision_tower" if ".visual." in name else "language_model"
            parts[part].append(parameter)
    own = {"merger": settings.merger, "vision_tower": settings.vision_tower}
    groups = []
    for part, parameters in parts.items():
        if parameters:
            rates = {"lr": settings.lr, "weight_decay": settings.weight_decay}
            rates |= {key: value for key, value in asdict(own.get(part, PartSettings())).items() if value is not None}
            groups.append({"params": parameters, "name": part, **rates})
    return groups
