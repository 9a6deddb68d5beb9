"""vLLM on another machine: the same calls as ``vllm_local``, over HTTP; new weights go through a folder both see."""

import base64
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from tvg_lightning.engines.asking import Asked, SampledRow
from tvg_lightning.engines.claims import Claim
from tvg_lightning.engines.settings import VLLMSettings
from tvg_lightning.engines.vllm_local import EngineModel, warn_of_version
from tvg_lightning.engines.wire import PROTOCOL, PROTOCOL_HEADER, pack, unpack_rows
from tvg_lightning.parallel import of_all_ranks, rank_and_world_size

log = logging.getLogger(__name__)
_PART_BYTES = 2**30  # of weights in one file
_CONNECT_S = 20.0
_BUSY = 409
_MOST_CHARACTERS = 500  # of an answer in a message


class RemoteVLLM:
    """A server that ``python -m tvg_lightning serve`` runs. The first process of a run gives it model and weights."""

    def __init__(self, model: EngineModel, settings: VLLMSettings) -> None:
        """All processes must call."""
        assert settings.url is not None and settings.weights_folder is not None, "asked for in ``choice``"
        self.settings, self.url = settings, settings.url.rstrip("/")
        self.folder = Path(settings.weights_folder)
        self.weights = ""
        self.claim = Claim(self.url)
        fault = ""
        if rank_and_world_size()[0] == 0:
            try:
                self._begin(model)
            except ValueError as error:
                fault = str(error)
        _raise_in_all(fault)

    def _begin(self, model: EngineModel) -> None:
        files = {path.name: base64.b64encode(path.read_bytes()).decode() for path in model.folder.iterdir()}
        body = {
            "run": self.claim.run,
            "name": self.claim.name,
            "files": files,
            "model_type": model.model_type,
            "dtype": str(model.dtype).removeprefix("torch."),
            "suppressed_ids": model.suppressed_ids,
        }
        self.claim.keep()
        answer = self._post("model", json=body)
        warn_of_version(answer.json()["vllm"], f"on {self.url}")

    def load(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        """Write new weights, a part at a time, and have the server read them; all processes must call."""
        name, fault = f"weights-{uuid4().hex}", ""
        if rank_and_world_size()[0] > 0:
            for _ in weights:  # only helps to gather
                pass
        else:
            files: list[Path] = []
            try:
                _write(weights, self.folder, name, files)
                paths = [str(file.absolute()) for file in files]
                self._post("weights", json={"run": self.claim.run, "weights": name, "files": paths})
            except ValueError as error:
                fault = str(error)
            finally:
                for file in files:
                    with suppress(OSError):  # was not written
                        file.unlink()
        _raise_in_all(fault)
        self.weights = of_all_ranks(name)[0]

    def generate(self, asked: Asked) -> list[SampledRow]:
        """The rows in their order, from the weights of the latest ``load``; all processes must call."""
        rows, fault = list[SampledRow](), ""
        try:
            rows = unpack_rows(self._post("generate", content=pack(asked, self.weights)).text)
        except ValueError as error:
            fault = str(error)
        _raise_in_all(fault)
        return rows

    def _post(self, call: str, **body: Any) -> httpx.Response:
        """One call; tried again where that may help, for each may be made twice."""
        waits = [min(5.0 * 2**attempt, 60.0) for attempt in range(self.settings.retries)]
        fault = ""
        for wait_s in [0.0, *waits]:
            if fault:
                log.warning("engine vllm_server: %s; next try in %.0f s", fault, wait_s)
                time.sleep(wait_s)
            found = self._try(call, **body)
            if isinstance(found, httpx.Response):
                return found
            fault, may_pass = found
            if not may_pass:
                break
        raise ValueError(
            f"engine vllm_server: {fault}. The run stops; mend that or start the server again (python -m tvg_lightning "
            "serve), and go on from the run's last checkpoint with --ckpt_path last"
        )

    def _try(self, call: str, **body: Any) -> httpx.Response | tuple[str, bool]:
        """The answer, or what is wrong and whether it may pass."""
        limit_s = self.settings.timeout_s
        timeout = httpx.Timeout(limit_s, connect=min(_CONNECT_S, limit_s))
        try:
            answer = httpx.post(f"{self.url}/{call}", timeout=timeout, **body)
        except httpx.ReadTimeout:  # it works still, or hangs: more of the same would not help
            return f"{self.url} gave no answer to {call} within vllm.timeout_s, {limit_s:g} s", False
        except httpx.RequestError as error:
            return f"{self.url} gave no answer to {call} ({type(error).__name__}: {error})", True
        said = answer.text.strip()[:_MOST_CHARACTERS] or f"status {answer.status_code}"
        if answer.headers.get(PROTOCOL_HEADER) == PROTOCOL:
            may_pass = answer.status_code in (_BUSY, 500)
            return answer if answer.is_success else (f"{self.url} could not do {call}: {said}", may_pass)
        if answer.status_code >= 500:  # of something in between
            return f"{self.url} could not do {call}: status {answer.status_code}: {said}", True
        return (
            f"{self.url} is no rollout server of this version of the project (status {answer.status_code} for {call}): "
            "is vllm.url right, and is the server's code the run's?"
        ), False


def _raise_in_all(fault: str) -> None:
    """ValueError in all processes for a fault of one, for which the others would wait for ever."""
    if faults := [found for found in of_all_ranks(fault) if found]:
        raise ValueError(faults[0])


def _write(weights: Iterator[tuple[str, Tensor]], folder: Path, name: str, files: list[Path]) -> None:
    """Files of at most ``_PART_BYTES`` and a tensor more, added to ``files``; all weights are taken, come what may.

    ValueError where they cannot be written.
    """
    part: dict[str, Tensor] = {}
    fault = ""
    for key, weight in weights:
        if fault:
            continue  # other processes take part in gathering them
        part[key] = weight.detach().to("cpu", copy=True).contiguous()
        if sum(x.nbytes for x in part.values()) >= _PART_BYTES:
            fault = _flush(part, folder, name, files)
    fault = fault or (_flush(part, folder, name, files) if part else "")
    if fault:
        raise ValueError(fault)


def _flush(part: dict[str, Tensor], folder: Path, name: str, files: list[Path]) -> str:
    """Write a file of the part and empty it; returns what is wrong, or nothing."""
    file = folder / f"{name}-{len(files)}.safetensors"
    files.append(file)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(part, file)
    except (OSError, SafetensorError) as error:
        return f"engine vllm_server: new weights cannot be written to vllm.weights_folder {folder}: {error}"
    part.clear()
    return ""
