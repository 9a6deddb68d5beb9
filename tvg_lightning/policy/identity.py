"""Telling weights apart: adapters mean nothing on another base, cached features nothing to another tower."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from safetensors import safe_open
from torch import Tensor

from tvg_lightning.data.caches.tensor_store import tensor_bytes
from tvg_lightning.policy.loading import PACKAGED

_NUM_ROWS = 4  # of every weight: a merged adapter or a further step of training shows in any of them


def base_folder(checkpoint: str, patterns: list[str]) -> Path:
    """The folder with the files of a checkpoint: its own, or the local copy of the hub's files of these patterns."""
    if checkpoint in PACKAGED:
        return PACKAGED[checkpoint]
    folder = Path(checkpoint)
    if folder.is_dir():
        return folder
    if checkpoint.endswith(".json"):
        raise ValueError(f"policy.checkpoint: {checkpoint} is an architecture with random weights, which no file holds")
    try:
        return Path(snapshot_download(checkpoint, allow_patterns=patterns))
    except (OSError, ValueError) as error:  # what the hub's client makes of no network, no such name, a bad name
        raise ValueError(f'policy.checkpoint: cannot find "{checkpoint}" here or on the hub ({error})') from error


def base_fingerprint(checkpoint: str) -> str:
    """64 hex digits that tell one set of weights from another; a few rows of every weight are read.

    Other names, shards or a wider dtype of the same numbers give the same fingerprint: it is a hash of the
    sorted hashes of (shape, rows as float32), each taken once.
    """
    folder = base_folder(checkpoint, ["*.safetensors"])
    digests: set[bytes] = set()
    for file in sorted(folder.glob("*.safetensors")):
        digests.update(_digests(file))
    if not digests:
        raise ValueError(f"policy.checkpoint: {folder} has no safetensors; save the base as such")
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def weights_identity(weights: Mapping[str, Tensor]) -> str:
    """A digest of the names, shapes, dtypes and bytes of weights, such as ``tower.state_dict()``.

    >>> one, two = {"a": torch.zeros(2)}, {"a": torch.tensor([0.0, 1e-9])}
    >>> weights_identity(one) == weights_identity({"a": torch.zeros(2)}), weights_identity(one) == weights_identity(two)
    (True, False)
    """
    digest = hashlib.blake2b()
    for name in sorted(weights):
        digest.update(f"{name} {tuple(weights[name].shape)} {weights[name].dtype};".encode())
        digest.update(tensor_bytes(weights[name]))
    return digest.hexdigest()


def _digests(file: Path) -> Iterator[bytes]:
    """One hash a weight."""
    with safe_open(file, framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118  # it is no dict and cannot be gone through otherwise
            part = weights.get_slice(name)
            shape = part.get_shape()
            rows = [part[row : row + 1] for row in _spread(shape[0])] if shape else [weights.get_tensor(name)]
            yield hashlib.sha256(str(shape).encode() + b"".join(map(_bytes, rows))).digest()


def _spread(num_rows: int) -> list[int]:
    """Indices of at most ``_NUM_ROWS`` rows, evenly spread.

    >>> _spread(9), _spread(2)
    ([0, 2, 5, 8], [0, 1])
    """
    if num_rows <= _NUM_ROWS:
        return list(range(num_rows))
    return [row * (num_rows - 1) // (_NUM_ROWS - 1) for row in range(_NUM_ROWS)]


def _bytes(x: Tensor) -> bytes:
    return x.to(torch.float32).contiguous().numpy().tobytes()
