"""vLLM on another machine: the same calls as ``vllm_local``, over HTTP; new weights go through a folder both see."""

import base64
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import torch
from safetensors.torch import save_file
from torch import Tensor

from tvg_lightning.engines.asking import Asked, SampledRow
from tvg_lightning.engines.settings import VLLMSettings
from tvg_lightning.engines.vllm_local import EngineModel
from tvg_lightning.engines.wire import pack, unpack_rows
from tvg_lightning.parallel import of_all_ranks, rank_and_world_size

log = logging.getLogger(__name__)
_PART_BYTES = 2**30  # of weights in one file


class RemoteVLLM:
    """A server that ``python -m tvg_lightning serve`` runs. The first process of a run gives it model and weights."""

    def __init__(self, model: EngineModel, settings: VLLMSettings) -> None:
        assert settings.url is not None and settings.weights_folder is not None, "asked for in ``choice``"
        self.settings, self.url = settings, settings.url.rstrip("/")
        self.folder = Path(settings.weights_folder)
        self.weights = ""
        if rank_and_world_size()[0] == 0:
            files = {path.name: base64.b64encode(path.read_bytes()).decode() for path in model.folder.iterdir()}
            body = {
                "files": files,
                "model_type": model.model_type,
                "dtype": str(model.dtype).removeprefix("torch."),
                "suppressed_ids": model.suppressed_ids,
            }
            self._post("model", json=body)

    def load(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        """Write new weights, a part at a time, and have the server read them; all processes must call."""
        is_first = rank_and_world_size()[0] == 0
        name = f"weights-{uuid4().hex}"
        if is_first:
            self.folder.mkdir(parents=True, exist_ok=True)
        files = _written(weights, self.folder, name, is_first)
        said = (name, "")
        if is_first:
            try:
                self._post("weights", json={"weights": name, "files": [str(file.resolve()) for file in files]})
            except ValueError as error:
                said = "", str(error)
            finally:
                for file in files:
                    file.unlink(missing_ok=True)
        self.weights, fault = of_all_ranks(said)[0]
        if fault:  # told to all processes, which would wait for the first for ever
            raise ValueError(fault)

    def generate(self, asked: Asked) -> list[SampledRow]:
        """The rows in their order, from the weights of the latest ``load``."""
        return unpack_rows(self._post("generate", content=pack(asked, self.weights)).text)

    def _post(self, call: str, **body: Any) -> httpx.Response:
        """One call; tried again where the server cannot be reached, for each may be made twice."""
        last = ""
        for attempt in range(self.settings.retries + 1):
            if attempt:
                wait_s = min(2.0 ** (attempt - 1), 30.0)
                log.warning("engine vllm_server: %s; next try in %.0f s", last, wait_s)
                time.sleep(wait_s)
            try:
                answer = httpx.post(f"{self.url}/{call}", timeout=self.settings.timeout_s, **body)
            except httpx.TransportError as error:
                last = f"{self.url} gave no answer to {call} ({type(error).__name__}: {error})"
                if isinstance(error, httpx.ReadTimeout):
                    break  # it works still, or hangs: more of the same would not help
                continue
            if answer.is_success:
                return answer
            last = f"{self.url} could not do {call}: {answer.text.strip() or answer.status_code}"
            break
        raise ValueError(
            f"engine vllm_server: {last}. The run stops; start the server again (python -m tvg_lightning serve) and go "
            "on from the run's last checkpoint with --ckpt_path last"
        )


def _written(weights: Iterator[tuple[str, Tensor]], folder: Path, name: str, is_first: bool) -> list[Path]:
    """Files of at most ``_PART_BYTES`` and a tensor more; other processes than the first only help to gather."""
    files: list[Path] = []
    part: dict[str, Tensor] = {}

    def flush() -> None:
        file = folder / f"{name}-{len(files)}.safetensors"
        save_file(part, file)
        files.append(file)
        part.clear()

    for key, weight in weights:
        if not is_first:
            continue
        part[key] = weight.detach().to("cpu", copy=True).contiguous()
        if sum(x.nbytes for x in part.values()) >= _PART_BYTES:
            flush()
    if part:
        flush()
    return files


def dtype_of(name: str) -> torch.dtype:
    """The dtype of a name that a client sent.

    >>> dtype_of("bfloat16")
    torch.bfloat16
    """
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in known:
        raise ValueError(f"dtype {name!r} is not known; there are {', '.join(known)}")
    return known[name]
