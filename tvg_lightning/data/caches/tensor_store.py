"""Tensors on disk under names, bounded in size: what the caches of frames and of features are made of."""

import hashlib
import json
import os
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

_SUFFIX = ".safetensors"
_PART = ".part"  # being written; left behind by a process that was killed
_PART_LIFE_S = 3600.0
_SCANS = 100  # while as much as the bound is written: listing ten thousand entries takes longer than writing one


class TensorStore:
    """One file an entry; the longest unused go first when all together exceed ``max_bytes``.

    Any number of processes may share a folder: an entry is written beside its place and moved there whole.
    What is torn or altered is dropped, as if it had never been stored; what another user's rights keep from being read
    or marked as used stays. A process looks for what must go at its first entry and then after every hundredth of
    ``max_bytes`` that it has written, so that each that writes may put this much, and one entry, above the bound.
    ``hits`` and ``misses`` count the requests of this process.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        if max_bytes <= 0:
            raise ValueError(f"max_bytes must be positive, got {max_bytes}")
        self.folder, self.max_bytes = folder, max_bytes
        self.hits = self.misses = 0
        self._unseen_bytes = max_bytes  # written since it last looked for what must go

    def find(self, key: str) -> tuple[dict[str, Tensor], dict[str, str]] | None:
        """The tensors and the notes stored as ``key``, marked as used; None if there is no whole entry."""
        entry = self._entry(key)
        found = None
        # what is suppressed: the folder may be another user's, or read-only
        try:
            found = _content(entry)
        except OSError:  # there is none, or it cannot be read here and now
            pass
        except (SafetensorError, KeyError, TypeError):  # damaged
            with suppress(OSError):
                entry.unlink()
        else:
            with suppress(OSError):
                os.utime(entry)
        self.hits += found is not None
        self.misses += found is None
        return found

    def store(self, key: str, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
        """Keep the tensors, unless they alone exceed the bound."""
        content = save(dict(tensors), {**about, "checksum": _checksum(tensors)})
        if len(content) > self.max_bytes:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f"{key}.{uuid4().hex}{_PART}"
        try:
            part.write_bytes(content)
            os.replace(part, self._entry(key))
        except OSError:
            with suppress(OSError):  # half an entry would keep a full disk full
                part.unlink()
            raise
        self._unseen_bytes += len(content)
        if self._unseen_bytes >= self.max_bytes / _SCANS:
            self._unseen_bytes = 0
            self._evict()

    def _entry(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    def _evict(self) -> None:
        """Remove the longest unused entries until the rest fits, and parts that nobody can still be writing."""
        entries: list[tuple[float, int, str]] = []
        for file in os.scandir(self.folder):
            try:
                stat = file.stat()
            except OSError:  # gone: another process evicts, too
                continue
            if file.name.endswith(_SUFFIX):
                entries.append((stat.st_mtime, stat.st_size, file.path))
            elif file.name.endswith(_PART) and time.time() - stat.st_mtime > _PART_LIFE_S:
                with suppress(OSError):
                    Path(file.path).unlink()
        excess = sum(size for _, size, _ in entries) - self.max_bytes
        for _, size, path in sorted(entries):
            if excess <= 0:
                return
            with suppress(OSError):  # another user's: then the next one goes in its place
                Path(path).unlink(missing_ok=True)  # gone: another process evicts, too
                excess -= size


def name_of(*parts: Any) -> str:
    """A name for an entry that changes with any of the parts, which are such as JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The bytes of a tensor of any dtype, also of those that numpy does not know."""
    array: np.ndarray = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return array.data


def _content(entry: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and notes; OSError where there are none to be read, the other three where they are damaged."""
    with safe_open(entry, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
        about = dict(file.metadata())
    if about.pop("checksum") != _checksum(tensors):
        raise SafetensorError("the checksum is another")
    return tensors, about


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    checksum = 0
    for name in sorted(tensors):
        checksum = zlib.crc32(tensor_bytes(tensors[name]), zlib.crc32(name.encode(), checksum))
    return str(checksum)
