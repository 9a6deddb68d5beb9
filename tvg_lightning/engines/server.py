"""The server behind ``engine: vllm_server``: one vLLM, asked over HTTP by the processes of a run.

It has no password and reads the weight files that it is told of: run it in a network that you trust.
"""

import base64
import json
import logging
import tempfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tvg_lightning.engines.settings import VLLMSettings
from tvg_lightning.engines.vllm_local import EngineModel, LocalVLLM
from tvg_lightning.engines.vllm_remote import dtype_of
from tvg_lightning.engines.wire import pack_rows, unpack

log = logging.getLogger(__name__)


class RolloutServer:
    """The calls that a client may make, one at a time."""

    def __init__(self, settings: VLLMSettings, device: torch.device) -> None:
        self.settings, self.device = settings, device
        self.weights = ""
        self._vllm: LocalVLLM | None = None
        self._model: dict[str, Any] | None = None

    def model(self, body: bytes) -> str:
        """Start the engine for a model, unless it runs already."""
        asked = json.loads(body)
        if asked == self._model:
            return "{}"
        if self._model is not None:
            raise ValueError("this server runs another model already: start one more, or this one anew")
        kind, dtype, suppressed = asked["model_type"], dtype_of(asked["dtype"]), tuple(asked["suppressed_ids"])
        with tempfile.TemporaryDirectory(prefix="tvg-vllm-") as folder:  # all is read at the start
            for name, content in asked["files"].items():
                (Path(folder) / Path(name).name).write_bytes(base64.b64decode(content))
            self._vllm = LocalVLLM(EngineModel(Path(folder), kind, dtype, suppressed), self.settings, self.device)
        self._model = asked
        log.info("engine started for a %s in %s", asked["model_type"], asked["dtype"])
        return "{}"

    def load(self, body: bytes) -> str:
        """Take the weights of some files."""
        asked = json.loads(body)
        self.weights = ""  # until all have come
        self._engine().load(_tensors(asked["files"]))
        self.weights = asked["weights"]
        log.info("new weights: %s", self.weights)
        return "{}"

    def generate(self, body: bytes) -> str:
        """Answer a question, from the weights that it names or not at all."""
        question, weights = unpack(body)
        engine = self._engine()
        if not weights or weights != self.weights:
            raise ValueError(f"this server has the weights {self.weights or '(none)'}, not {weights or '(none)'}")
        return pack_rows(engine.generate(question))

    def _engine(self) -> LocalVLLM:
        if self._vllm is None:
            raise ValueError("this server has no model yet: it was started anew")
        return self._vllm

    def answer(self, path: str, body: bytes) -> str:
        """The answer to one call; ValueError where the client is at fault."""
        calls = {"/model": self.model, "/weights": self.load, "/generate": self.generate}
        if path not in calls:
            raise ValueError(f"no call {path}; there are {', '.join(calls)}")
        return calls[path](body)


class _OneByOne(HTTPServer):
    """All calls in one thread, for vLLM has a stream of the GPU for each; the others wait for their turn."""

    request_queue_size = 128


def serve(server: RolloutServer, host: str, port: int) -> HTTPServer:
    """An HTTP server on an address; port 0 takes a free one. ``serve_forever`` runs it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(200, json.dumps({"weights": server.weights}))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                self._send(200, server.answer(self.path, body))
            except (ValueError, OSError, KeyError, SafetensorError) as error:
                self._send(400, str(error))
            except RuntimeError as error:
                log.exception("a call failed")
                self._send(500, f"RuntimeError: {error}")

        def _send(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            log.debug(format, *args)

    return _OneByOne((host, port), Handler)


def _tensors(files: list[str]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of safetensors files, one at a time."""
    for file in files:
        if not Path(file).is_file():
            raise ValueError(f"there is no weight file {file} on this machine: vllm.weights_folder must be one it sees")
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118  # no mapping
                yield name, tensors.get_tensor(name)
