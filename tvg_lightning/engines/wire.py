"""Questions for an engine on another machine, over the wire: one safetensors file a question, JSON back."""

import json
from dataclasses import asdict
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from tvg_lightning.engines.asking import Asked, AskedPrompt, AskedRow, SampledRow
from tvg_lightning.policy.settings import GenerationSettings

PROTOCOL_HEADER, PROTOCOL = "X-TVG-Lightning", "2"  # in every answer of a server; another number: other calls


def pack(asked: Asked, weights: str) -> bytes:
    """A question, and the name of the weights that it is to be answered from."""
    head = {
        "weights": weights,
        "rows": [asdict(row) for row in asked.rows],
        "generation": asdict(asked.generation),
        "end_id": asked.end_id,
        "num_prompts": len(asked.prompts),
    }
    # copies: those of several prompts may be parts of one tensor
    tensors: dict[str, Tensor] = {"head": torch.frombuffer(bytearray(json.dumps(head).encode()), dtype=torch.uint8)}
    for number, prompt in enumerate(asked.prompts):
        tensors[f"{number}.ids"] = torch.tensor(prompt.ids)
        tensors[f"{number}.positions"] = prompt.positions_3L.clone()
        tensors[f"{number}.features"] = prompt.features.detach().to("cpu", copy=True).contiguous()
        tensors[f"{number}.is_video"] = prompt.is_video_L.clone()
    return save(tensors)


def unpack(body: bytes) -> tuple[Asked, str]:
    """The question and the name of the weights of ``pack``."""
    tensors = load(body)
    head: dict[str, Any] = json.loads(tensors["head"].numpy().tobytes())
    prompts = [
        AskedPrompt(
            tuple(tensors[f"{number}.ids"].tolist()),
            *(tensors[f"{number}.{name}"] for name in ("positions", "features", "is_video")),
        )
        for number in range(head["num_prompts"])
    ]
    rows = [AskedRow(**{**row, "prefix": tuple(row["prefix"])}) for row in head["rows"]]
    generation = GenerationSettings(**{**head["generation"], "stop": tuple(head["generation"]["stop"])})
    return Asked(prompts, rows, generation, head["end_id"]), head["weights"]


def pack_rows(rows: list[SampledRow]) -> str:
    """Completions as JSON; a log-prob that is not finite has no place in one, and would be a fault."""
    return json.dumps([asdict(row) for row in rows], allow_nan=False)


def unpack_rows(text: str) -> list[SampledRow]:
    """The completions of ``pack_rows``."""
    return [SampledRow(tuple(row["ids"]), tuple(row["logp"]), row["truncated"]) for row in json.loads(text)]


def dtype_of(name: str) -> torch.dtype:
    """The dtype of a name that a client sent.

    >>> dtype_of("bfloat16")
    torch.bfloat16
    """
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in known:
        raise ValueError(f"dtype {name!r} is not known; there are {', '.join(known)}")
    return known[name]
