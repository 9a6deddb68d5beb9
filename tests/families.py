"""Checkpoints of every family: the packaged policy is of one, of the others there are small random ones."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from tvg_lightning.policy.families.known import FAMILIES
from tvg_lightning.policy.loading import TINY_FOLDER

PACKAGED = "qwen2_5_vl"

# heads are wider than their share of the hidden size (96 / 4), as in the published 4B and 32B
_TEXT = {
    "vocab_size": 1024, "hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 5, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 8192, "initializer_range": 0.08,
    "bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
_ROPE = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [6, 5, 5], "mrope_interleaved": True}
_VISION = {"depth": 4, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "out_hidden_size": 96}
CONFIGS: dict[str, dict[str, Any]] = {
    "qwen2_vl": {
        "text_config": {
            **{key: value for key, value in _TEXT.items() if key != "head_dim"},
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 4, 4]},
        },
        "vision_config": {"depth": 3, "embed_dim": 64, "mlp_ratio": 2, "num_heads": 4, "hidden_size": 96},
    },
    "qwen3_vl": {
        "text_config": {**_TEXT, "rope_parameters": _ROPE},
        "vision_config": {**_VISION, "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1, 2]},
    },
}

# for whole runs: the packaged policy always, all others with the slow tests
OTHERS_SLOW = pytest.mark.parametrize(
    "checkpoint", [PACKAGED, *(pytest.param(name, marks=pytest.mark.slow) for name in CONFIGS)], indirect=True
)


def random_checkpoint(model_type: str, folder: Path, tied: bool = True, **text: Any) -> str:
    """A folder as published checkpoints have it: config, safetensors, and the packaged tokenizer.

    ``text``: what the language model's config has besides, or instead.
    """
    tokenizer, family = AutoTokenizer.from_pretrained(TINY_FOLDER), FAMILIES[model_type]
    names = ("image_pad", "video_pad", "vision_start", "vision_end")
    keys = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    ids = {key: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for key, name in zip(keys, names, strict=True)}
    sizes = {**CONFIGS[model_type], "text_config": {**CONFIGS[model_type]["text_config"], **text}}
    config = family.config_class(**sizes, **ids, tie_word_embeddings=tied)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = family.model_class._from_config(config, dtype=torch.float32)
        with torch.no_grad():  # norms that are 1 and biases that are 0 would hide a mistake
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    parameter.add_(0.3 * torch.randn_like(parameter))
    model.generation_config.eos_token_id = 2
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(TINY_FOLDER / name, folder / name)
    return str(folder)
