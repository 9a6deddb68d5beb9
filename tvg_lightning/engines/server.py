"""The server behind ``engine: vllm_server``: one vLLM, asked over HTTP by the processes of one run.

It has no password and reads the weight files that it is told of: run it in a network that you trust.
"""

import base64
import json
import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tvg_lightning.engines.asking import Asked
from tvg_lightning.engines.claims import Claims
from tvg_lightning.engines.settings import VLLMSettings
from tvg_lightning.engines.vllm_local import EngineModel, LocalVLLM
from tvg_lightning.engines.wire import PROTOCOL, PROTOCOL_HEADER, dtype_of, pack_rows, unpack

log = logging.getLogger(__name__)
_BUSY = 409
_MODEL_KEYS = {"files", "model_type", "dtype", "suppressed_ids"}


@dataclass(slots=True)
class _Job:
    """A call for vLLM, and its answer once it is done."""

    call: Callable[[], str]
    status: int = 500
    text: str = "the server failed: what it wrote says why"
    done: Event = field(default_factory=Event)


class RolloutServer:
    """The calls that a client may make. HTTP's threads ask; the thread of ``work`` alone has vLLM, a call at a time."""

    def __init__(self, settings: VLLMSettings, device: torch.device) -> None:
        self.settings, self.device = settings, device
        self.weights = ""
        self.claims = Claims()
        self._vllm: LocalVLLM | None = None
        self._model: dict[str, Any] | None = None
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()

    def work(self) -> None:
        """Make the calls as they come, until ``end``; in the main thread, for vLLM has a stream of the GPU for each."""
        while (job := self._jobs.get()) is not None:
            try:
                job.status, job.text = 200, job.call()
            except (ValueError, OSError, SafetensorError) as error:
                job.status, job.text = 400, str(error)
            except RuntimeError as error:
                log.exception("a call failed")
                job.text = f"{type(error).__name__}: {error}"
            finally:  # also of an error that ends the server
                job.done.set()

    def end(self) -> None:
        """Let ``work`` return."""
        self._jobs.put(None)

    def answer(self, path: str, body: bytes) -> tuple[int, str]:
        """The HTTP status and text for a call."""
        calls = {"/model": self._model_call, "/weights": self._weights_call, "/generate": self._generate_call}
        at_once = {"/alive": self.claims.heard, "/leave": self.claims.leave}
        try:
            if path in at_once:
                at_once[path](_object(body)["run"])
                return 200, "{}"
            if path not in calls:
                words = (
                    f"no call {path}; there are {', '.join(calls)}: vllm.url is the address alone, as serve printed it"
                )
                return 400, words
            call = calls[path](body)
        except (ValueError, KeyError, TypeError, SafetensorError) as error:
            return 400, f"not a call of this version: {type(error).__name__}: {error}"
        return call if isinstance(call, tuple) else self._done(call)

    def status(self) -> str:
        """The state of things, for a person with a browser."""
        return json.dumps({"weights": self.weights, "run": self.claims.holder})

    def _done(self, call: Callable[[], str]) -> tuple[int, str]:
        job = _Job(call)
        self._jobs.put(job)
        job.done.wait()
        return job.status, job.text

    def _model_call(self, body: bytes) -> Callable[[], str] | tuple[int, str]:
        asked = _object(body)
        run, name = asked.pop("run"), asked.pop("name")
        if asked.keys() != _MODEL_KEYS:
            raise ValueError(f"expected {', '.join(sorted(_MODEL_KEYS))}, got {', '.join(sorted(asked))}")
        texts = [asked["model_type"], asked["dtype"], *dict(asked["files"]).values()]
        if not all(isinstance(text, str) for text in texts) or not all(
            isinstance(number, int) for number in asked["suppressed_ids"]
        ):
            raise TypeError("files, model_type and dtype are text, suppressed_ids are whole numbers")
        if (other := self.claims.take(run, name)) is not None:
            words = f"it works for another run, {other}: wait for its end, or start one more server on another port"
            return _BUSY, words
        return partial(self._start, asked, run)

    def _weights_call(self, body: bytes) -> Callable[[], str]:
        asked = _object(body)
        return partial(self._load, asked["run"], asked["weights"], [str(file) for file in asked["files"]])

    def _generate_call(self, body: bytes) -> Callable[[], str]:
        return partial(self._generate, *unpack(body))

    # ---- in the thread of ``work``

    def _start(self, asked: dict[str, Any], run: str) -> str:
        """Start the engine for a model, unless it runs already."""
        try:
            if self._model is not None and asked != self._model:
                raise ValueError("this server runs another model already: start one more, or this one anew")
            if self._vllm is None:
                self._vllm = self._started(asked)
                self._model = asked
        except (ValueError, OSError, RuntimeError):
            self.claims.leave(run)
            raise
        self.claims.heard(run)  # a start takes minutes
        return json.dumps({"vllm": self._vllm.version})

    def _started(self, asked: dict[str, Any]) -> LocalVLLM:
        kind, dtype, suppressed = asked["model_type"], dtype_of(asked["dtype"]), tuple(asked["suppressed_ids"])
        with tempfile.TemporaryDirectory(prefix="tvg-vllm-") as folder:  # all is read at the start
            for name, content in asked["files"].items():
                (Path(folder) / Path(name).name).write_bytes(base64.b64decode(content))
            vllm = LocalVLLM(EngineModel(Path(folder), kind, dtype, suppressed), self.settings, self.device)
        log.info("engine started for a %s in %s", kind, dtype)
        return vllm

    def _load(self, run: str, weights: str, files: list[str]) -> str:
        """Take the weights of some files."""
        engine = self._engine()
        if not self.claims.is_held_by(run):
            raise ValueError("this server works for another run by now, for it had not heard of this one for long")
        self.weights = ""  # until all have come
        engine.load(_tensors(files))
        self.weights = weights
        log.info("new weights: %s", weights)
        return "{}"

    def _generate(self, question: Asked, weights: str) -> str:
        """Answer a question, from the weights that it names or not at all."""
        engine = self._engine()
        if not weights or weights != self.weights:
            raise ValueError(
                f"this server has the weights {self.weights or '(none)'}, not {weights or '(none)'}: another run has "
                "given it some"
            )
        return pack_rows(engine.generate(question))

    def _engine(self) -> LocalVLLM:
        if self._vllm is None:
            raise ValueError("this server has no model yet: it was started anew")
        return self._vllm


def serve(server: RolloutServer, host: str, port: int) -> ThreadingHTTPServer:
    """An HTTP server on an address; port 0 takes a free one. ``serve_forever`` runs it, beside ``server.work``."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 60  # seconds for a part of a call to come: some open a connection and say nothing

        def do_GET(self) -> None:
            self._send(200, server.status())

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal():
                self._send(411, "a call needs its Content-Length")
                return
            body = self.rfile.read(int(length))
            if len(body) == int(length):  # else the client has gone
                self._send(*server.answer(self.path, body))

        def _send(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.send_header(PROTOCOL_HEADER, PROTOCOL)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            log.debug(format, *args)

    return _Server((host, port), Handler)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def _object(body: bytes) -> dict[str, Any]:
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object, got {type(found).__name__}")
    return found


def _tensors(files: list[str]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of safetensors files, one at a time."""
    for file in files:
        if not Path(file).is_file():
            raise ValueError(f"there is no weight file {file} on this machine: vllm.weights_folder must be one it sees")
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118  # no mapping
                yield name, tensors.get_tensor(name)
