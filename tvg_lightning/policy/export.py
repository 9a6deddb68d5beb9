"""Export of a training checkpoint to the folders that stock transformers and PEFT load.

A checkpoint is read with ``weights_only``: tensors and plain values, no code. What is written is safetensors.
"""

import shutil
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from peft import LoraConfig
from safetensors.torch import save_file
from transformers import GenerationConfig

from tvg_lightning.policy.backbone import PolicyBackbone, Weights
from tvg_lightning.policy.identity import base_fingerprint, base_folder
from tvg_lightning.policy.loading import LORA_TARGETS, PACKAGED, checkpoint_family
from tvg_lightning.policy.merging import adapted_layers, merged_weight
from tvg_lightning.policy.settings import PolicySettings

# what a base has beside its weights and its config: the tokenizer, and what turns pictures into patches
_COMPANIONS = [
    "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "added_tokens.json",
    "special_tokens_map.json", "chat_template.json", "chat_template.jinja", "preprocessor_config.json",
    "video_preprocessor_config.json", "processor_config.json",
]  # fmt: skip
_CONFIGS = ["config.json", "generation_config.json"]
_MODEL = "policy.model."  # where the model's weights stand in a checkpoint of a training module


@dataclass(frozen=True, slots=True)
class Trained:
    """The policy in a checkpoint: its settings and the weights that were saved, by the model's names."""

    settings: PolicySettings
    weights: Weights
    fingerprint: str | None  # of the base, where the checkpoint knows it


def read_trained(path: Path) -> Trained:
    """Read the policy out of a checkpoint of any training module."""
    if path.is_dir():
        raise ValueError(
            f"{path} is the folder of a sharded checkpoint: make one file of it with "
            f"python -m lightning.pytorch.utilities.consolidate_checkpoint {path}"
        )
    try:
        with torch.serialization.safe_globals([*own_settings(path)]):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (UnpicklingError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as tensors and plain values: {error}") from error
    if not {"policy"} <= checkpoint.get("hyper_parameters", {}).keys() or "state_dict" not in checkpoint:
        raise ValueError(f"{path} is no checkpoint of a training run of this project: it does not name its policy")
    given, state = checkpoint["hyper_parameters"]["policy"], checkpoint["state_dict"]
    weights = {name.removeprefix(_MODEL): x for name, x in state.items() if name.startswith(_MODEL)}
    if not weights:
        raise ValueError(f"{path} holds no weights of a policy")
    settings = given if isinstance(given, PolicySettings) else _settings(given, path)
    return Trained(settings, weights, checkpoint.get("base", {}).get("fingerprint"))


def own_settings(path: Path) -> list[type]:
    """The classes of this package's settings that a checkpoint names; a run started by the command line names none."""
    found = []
    for name in torch.serialization.get_unsafe_globals_in_checkpoint(path):
        module, _, class_name = name.rpartition(".")
        if not module.startswith("tvg_lightning."):
            continue  # torch refuses it by its name
        try:
            kind = vars(import_module(module)).get(class_name)
        except ModuleNotFoundError as error:
            raise ValueError(f"{path} names {name}, which this version of the package does not have") from error
        if isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, Enum)):
            found.append(kind)
    return found


def _settings(given: dict[str, Any], path: Path) -> PolicySettings:
    unknown = given.keys() - {field.name for field in fields(PolicySettings)}
    if unknown:
        raise ValueError(f"{path}: policy.{min(unknown)} is not known to this version of the package")
    return PolicySettings(**given)


def check_base(trained: Trained) -> None:
    """Refuse adapters of another base."""
    if trained.fingerprint not in (None, base_fingerprint(trained.settings.checkpoint)):
        raise ValueError(
            f'"{trained.settings.checkpoint}" is not the base that these adapters were trained on '
            "(its weights differ): give the right one"
        )


def write_model(weights: Weights, checkpoint: str, out: Path) -> None:
    """A folder as published models have it, with the base's config, tokenizer and processor."""
    base = base_folder(checkpoint, [*_CONFIGS, *_COMPANIONS])
    family = checkpoint_family(str(base))
    with torch.device("meta"):
        model = family.model_class._from_config(family.config_class.from_pretrained(base))
    try:
        model.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise ValueError(f"the weights do not fit the architecture of {checkpoint}: {error}") from error
    model.tie_weights()
    if (base / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(base)
    model.save_pretrained(out)
    for name in _COMPANIONS:
        if (base / name).is_file():
            shutil.copyfile(base / name, out / name)


def write_adapters(trained: Trained, out: Path) -> None:
    """A folder that ``peft.PeftModel.from_pretrained(base, out)`` loads, with the base's name and fingerprint."""
    settings = trained.settings
    name = str(base_folder(settings.checkpoint, _CONFIGS)) if settings.checkpoint in PACKAGED else settings.checkpoint
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        target_modules=LORA_TARGETS,
        base_model_name_or_path=name,
        inference_mode=True,
    )
    config.save_pretrained(str(out))
    tensors = {
        "base_model.model." + name.replace(".default.", "."): x.contiguous() for name, x in trained.weights.items()
    }
    fingerprint = trained.fingerprint or base_fingerprint(settings.checkpoint)
    save_file(tensors, out / "adapter_model.safetensors", {"format": "pt", "base_fingerprint": fingerprint})


def merged_weights(trained: Trained) -> Weights:
    """The base's weights with the adapters added (``merging.merged_weight``), by the names of the base."""
    policy = PolicyBackbone(trained.settings)
    try:
        missing, unknown = policy.model.load_state_dict(trained.weights, strict=False)
    except RuntimeError as error:
        raise ValueError(f"the adapters do not fit {trained.settings.checkpoint}: {error}") from error
    if unknown:
        raise ValueError(f"the adapters do not fit {trained.settings.checkpoint}: it has no {unknown[0]}")
    lacking = [name for name in missing if "lora_" in name]
    if lacking:
        raise ValueError(f"the checkpoint lacks adapters that its settings ask for: {lacking[0]}")
    model = policy.model.requires_grad_(False)
    adapted = adapted_layers(model)
    weights = {name: x for name, x in model.state_dict().items() if not any(name.startswith(f"{a}.") for a in adapted)}
    for name, layer in adapted.items():
        weights[f"{name}.weight"] = merged_weight(layer)
        if layer.get_base_layer().bias is not None:
            weights[f"{name}.bias"] = layer.get_base_layer().bias
    return weights
