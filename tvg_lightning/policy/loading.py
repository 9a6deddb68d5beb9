"""A model and its tokenizer from settings: the packaged tiny policy, a checkpoint, or an architecture alone."""

import sys
from pathlib import Path
from typing import Any

import torch
import transformers.utils.logging
from peft import LoraConfig, inject_adapter_in_model
from safetensors import SafetensorError
from transformers import (
    AutoTokenizer,
    BitsAndBytesConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from tvg_lightning.files import read_json
from tvg_lightning.policy.families.family import Family
from tvg_lightning.policy.families.known import FAMILIES, family_of
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.policy.vision_attention import WINDOWED_ATTENTION

TINY_FOLDER = Path(__file__).parent / "tiny"
PACKAGED = {"tiny": TINY_FOLDER, "tiny_qwen3_vl": Path(__file__).parent / "tiny_qwen3_vl"}  # checkpoints by word
ARCHITECTURES = Path(__file__).parent / "architectures"  # of published checkpoints, without weights
# the language model only: plain names would also match the vision tower's MLP
LORA_TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


def load_model(settings: PolicySettings) -> PreTrainedModel:
    """The model with its adapters, all else as published; which weights train is decided by ``PolicyBackbone``.

    A checkpoint that ends in .json is an architecture: the model is built with random weights (on the meta
    device where the caller asks for that), for plans, tests and benchmarks.
    """
    dtype, family = getattr(torch, settings.dtype), checkpoint_family(settings.checkpoint)
    if settings.checkpoint.endswith(".json"):
        model = architecture_model(Path(settings.checkpoint), dtype)
    else:
        model = _pretrained(settings, family, dtype)
    _check_geometry(model.config.vision_config, family, settings.checkpoint)
    # not asked for at loading, where any name with "flash" in it sends transformers to look for a kernel
    model.model.visual.config._attn_implementation = WINDOWED_ATTENTION
    family.make_lean(model)
    if settings.tuning != "full":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            lora = LoraConfig(r=settings.lora_rank, lora_alpha=settings.lora_alpha, target_modules=LORA_TARGETS)
            inject_adapter_in_model(lora, model)
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data.float()  # small steps would be lost in bfloat16
    return model


def _check_geometry(vision: Any, family: Family, checkpoint: str) -> None:
    """Refuse a tower that reads other pieces of a video than its family's do."""
    g, found = family.geometry, (vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size)
    if found != (g.patch, g.merge, g.temporal):
        raise ValueError(
            f"policy.checkpoint: {checkpoint} has vision_config.patch_size, spatial_merge_size and temporal_patch_size "
            f"{found}; a {family.model_type} has {(g.patch, g.merge, g.temporal)}: take another checkpoint, or give "
            "this one a family of its own (docs/backbones.md)"
        )


def architecture_model(path: Path, dtype: torch.dtype) -> PreTrainedModel:
    """A model of the architecture in a config.json, with random weights."""
    family = checkpoint_family(str(path))
    config = family.config_class.from_json_file(str(path))
    model: PreTrainedModel = family.model_class._from_config(config, dtype=dtype, attn_implementation="sdpa")
    return model


def checkpoint_family(checkpoint: str) -> Family:
    """The family of a checkpoint, by the ``model_type`` of its config.json, before any weight is read.

    Adapters and other architectures are refused.
    """
    if checkpoint.endswith(".json"):
        file = Path(checkpoint)
        if not file.is_file():
            raise ValueError(f"policy.checkpoint: there is no architecture file {file}")
        found = read_json(file)
        if not isinstance(found, dict):
            raise ValueError(f"policy.checkpoint: {file} must hold one JSON object, a model's config")
        return family_of(found.get("model_type"), checkpoint)
    source = _source(checkpoint)
    if (Path(source) / "adapter_config.json").is_file():
        raise ValueError(
            f"policy.checkpoint: {source} holds adapters, no whole model: export with --merge, or go on from the run's "
            "checkpoint with --ckpt_path"
        )
    try:
        config, _ = PretrainedConfig.get_config_dict(source)
    except OSError as error:
        raise _cannot_load(checkpoint, error) from error
    return family_of(config.get("model_type"), checkpoint)


def load_tokenizer(settings: PolicySettings) -> PreTrainedTokenizerBase:
    """The checkpoint's own tokenizer; an architecture alone has none and uses the tiny policy's."""
    if settings.checkpoint.endswith(".json"):
        return AutoTokenizer.from_pretrained(TINY_FOLDER)
    checkpoint_family(settings.checkpoint)
    source = _source(settings.checkpoint)
    folder = Path(source)
    if folder.is_dir() and not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        # transformers would make an empty one without an error
        raise ValueError(f"policy.checkpoint: {folder} has no tokenizer.json; copy it there from the base model")
    try:
        return AutoTokenizer.from_pretrained(source)
    except OSError as error:
        raise _cannot_load(settings.checkpoint, error) from error


def _pretrained(settings: PolicySettings, family: Family, dtype: torch.dtype) -> PreTrainedModel:
    quantization = None
    if settings.tuning == "qlora":
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=["model.visual", "lm_head"],
        )
    if not sys.stderr.isatty():
        transformers.utils.logging.disable_progress_bar()  # a file would hold it as one endless line
    try:
        loaded: Any = family.model_class.from_pretrained(
            _source(settings.checkpoint),
            dtype=dtype,
            attn_implementation="sdpa",
            quantization_config=quantization,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, SafetensorError) as error:
        raise _cannot_load(settings.checkpoint, error) from error
    model: PreTrainedModel = loaded[0]
    missing = sorted(loaded[1]["missing_keys"])
    if missing:  # transformers would make them up
        raise ValueError(
            f"policy.checkpoint: {settings.checkpoint} lacks {len(missing)} weights, such as {missing[0]}: copy its "
            "missing shards there"
        )
    return model


def _cannot_load(checkpoint: str, error: Exception) -> ValueError:
    return ValueError(
        f'policy.checkpoint: cannot load "{checkpoint}" ({error}). Give "tiny", a folder with config.json and '
        f"safetensors, or the name of a model on the hub; known architectures are {', '.join(FAMILIES)}"
    )


def _source(checkpoint: str) -> str:
    return str(PACKAGED.get(checkpoint, checkpoint))


def enable_checkpointing(model: Any) -> None:
    """Let the layers of a model be computed again in the backward pass; transformers renamed the method in 5.23."""
    is_renamed = hasattr(model, "activation_checkpointing_enable")
    enable = model.activation_checkpointing_enable if is_renamed else model.gradient_checkpointing_enable
    enable({"use_reentrant": False})
