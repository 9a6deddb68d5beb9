"""The optimizer of a stage: one group of parameters for each part of the policy, each with its own rate."""

from dataclasses import asdict
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from tvg_lightning.modules.optimizer_settings import OptimizerName, OptimizerSettings, PartSettings
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.four_bit import AdamW8bit, PagedAdamW8bit, PagedAdamW32bit

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
            parts[_part_of(name)].append(parameter)
    own = {"merger": settings.merger, "vision_tower": settings.vision_tower}
    groups = []
    for part, parameters in parts.items():
        if parameters:
            rates = {"lr": settings.lr, "weight_decay": settings.weight_decay}
            rates |= {key: value for key, value in asdict(own.get(part, PartSettings())).items() if value is not None}
            groups.append({"params": parameters, "name": part, **rates})
    return groups


def _part_of(name: str) -> str:
    """The part of the policy that a parameter is of; deepstack's mergers are mergers, too.

    >>> [_part_of(f"model.visual.{name}.weight") for name in ("blocks.0", "merger.norm", "deepstack_merger_list.0")]
    ['vision_tower', 'merger', 'merger']
    """
    _, in_tower, place = name.partition(".visual.")
    if not in_tower:
        return "language_model"
    return "merger" if "merger" in place.partition(".")[0] else "vision_tower"


def take_rates(optimizer: Optimizer, schedule: LambdaLR, policy: PolicyBackbone, settings: OptimizerSettings) -> None:
    """Set rates, decay and betas as the settings have them, at the schedule's present step; moments stay."""
    wanted = {group["name"]: group for group in parameter_groups(policy, settings)}
    for number, group in enumerate(optimizer.param_groups):
        own = wanted[group["name"]]
        group |= {"initial_lr": own["lr"], "weight_decay": own["weight_decay"], "betas": settings.betas}
        schedule.base_lrs[number] = own["lr"]
        group["lr"] = own["lr"] * schedule.lr_lambdas[number](schedule.last_epoch)
    schedule._last_lr = [group["lr"] for group in optimizer.param_groups]


def state_by_name(state: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """An optimizer's state with the parameters' names in place of their numbers, whatever it had.

    So a checkpoint can be read by a run that shards its optimizer (which has names) and by one that does not.
    ``names``: of the optimizer's parameters, in its order.
    """
    keys = [key for group in state.get("param_groups", ()) for key in group["params"]]
    if all(isinstance(key, str) for key in keys):  # there are none on ranks that do not write
        return state
    groups = [{**group, "params": [names[number] for number in group["params"]]} for group in state["param_groups"]]
    return {"state": {names[number]: value for number, value in state["state"].items()}, "param_groups": groups}


def state_by_number(state: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The way back, for ``Optimizer.load_state_dict``; groups and parameters in the optimizer's own order."""
    number_of = {name: number for number, name in enumerate(names)}
    groups = [
        {**group, "params": sorted(number_of[name] for name in group["params"])} for group in state["param_groups"]
    ]
    groups.sort(key=lambda group: group["params"][0])
    return {"state": {number_of[name]: value for name, value in state["state"].items()}, "param_groups": groups}
