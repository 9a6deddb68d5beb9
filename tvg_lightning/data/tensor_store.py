"""Tensors on disk under names, bounded in size: what the caches of frames and of features are made of."""

import hashlib
import os
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

_SUFFIX = ".safetensors"
_PART = ".part"  # being written; left behind by a process that was killed
_PART_LIFE_S = 3600.0


class TensorStore:
    """One file an entry; the longest unused go first when all together exceed ``max_bytes``.

    Any number of processes may share a folder: an entry is written beside its place and moved there whole.
    What is torn or altered is dropped, as if it had never been stored. ``hits`` and ``misses`` count the
    requests of this process.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        if max_bytes <= 0:
            raise ValueError(f"cache.max_bytes must be positive, got {max_bytes}; for no cache set folder to null")
        self.folder, self.max_bytes = folder, max_bytes
        self.hits = self.misses = 0

    def find(self, key: str) -> tuple[dict[str, Tensor], dict[str, str]] | None:
        """The tensors and the notes stored as ``key``, marked as used; None if there is no whole entry."""
        entry = self._entry(key)
        try:
            with safe_open(entry, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
                about = dict(file.metadata())
            is_whole = about.pop("checksum") == _checksum(tensors)
            os.utime(entry)
        except FileNotFoundError:
            self.misses += 1
            return None
        except (SafetensorError, OSError, KeyError, TypeError):
            is_whole = False
        if not is_whole:
            entry.unlink(missing_ok=True)
            self.misses += 1
            return None
        self.hits += 1
        return tensors, about

    def store(self, key: str, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
        """Keep the tensors, unless they alone exceed the bound."""
        content = save(dict(tensors), {**about, "checksum": _checksum(tensors)})
        if len(content) > self.max_bytes:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f"{key}.{uuid4().hex}{_PART}"
        part.write_bytes(content)
        os.replace(part, self._entry(key))
        self._evict()

    def _entry(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    def _evict(self) -> None:
        """Remove the longest unused entries until the rest fits, and parts that nobody can still be writing."""
        entries: list[tuple[float, int, str]] = []
        for file in os.scandir(self.folder):
            try:
                stat = file.stat()
            except FileNotFoundError:  # another process evicts, too
                continue
            if file.name.endswith(_SUFFIX):
                entries.append((stat.st_mtime, stat.st_size, file.path))
            elif file.name.endswith(_PART) and time.time() - stat.st_mtime > _PART_LIFE_S:
                Path(file.path).unlink(missing_ok=True)
        excess = sum(size for _, size, _ in entries) - self.max_bytes
        for _, size, path in sorted(entries):
            if excess <= 0:
                return
            Path(path).unlink(missing_ok=True)
            excess -= size


class ContentDigests:
    """A digest of each file's bytes; a file is read again only when its place, size or times have changed."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int, int, int], str] = {}

    def of(self, path: Path) -> str:
        stat = path.stat()  # the time of change (ctime) moves with every write and cannot be set back
        state = (str(path.resolve()), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        if state not in self._known:
            with path.open("rb") as file:
                self._known[state] = hashlib.file_digest(file, "blake2b").hexdigest()
        return self._known[state]


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The bytes of a tensor of any dtype, also of those that numpy does not know."""
    array: np.ndarray = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return array.data


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    checksum = 0
    for name in sorted(tensors):
        checksum = zlib.crc32(tensor_bytes(tensors[name]), zlib.crc32(name.encode(), checksum))
    return str(checksum)
