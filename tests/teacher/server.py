"""A teacher of our own on 127.0.0.1: it answers as OpenAI's endpoint does, and misbehaves on demand."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

GOOD = "<think>The bars are white from the first second on.</think><time>[1.0, 2.0]</time>"
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


@dataclass(frozen=True)
class Say:
    """One HTTP answer: ``content`` as bytes, or anything that becomes JSON."""

    content: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False  # no answer until the server is closed
    break_off: bool = False  # half of the content, then the connection is closed


def answer(text: str | None = GOOD, finish_reason: str = "stop", usage: Any = USAGE, **message: Any) -> Say:
    """A chat completion."""
    choice = {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": text, **message}}
    return Say({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage})


def error(status: int, message: str = "no", **headers: str) -> Say:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Say({"error": {"message": message}}, status, named)


class TeacherServer:
    """``plan(query, n)`` says what the n-th request (from 0) for a query gets; ``served`` counts them."""

    def __init__(self, plan: Callable[[str, int], Say] = lambda query, n: answer()) -> None:
        self.plan = plan
        self.served: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.most_at_once = 0
        self.closing = threading.Event()
        self._num_at_once = 0
        self._lock = threading.Lock()
        self._http = _Quiet(("127.0.0.1", 0), _Handler)
        self._http.teacher = self
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def take(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Say:
        query = body["messages"][-1]["content"][-1]["text"]
        with self._lock:
            before = self.served[query]
            self.served[query] += 1
            self.bodies.append(body)
            self.headers.append(headers)
            self.paths.append(path)
            self._num_at_once += 1
            self.most_at_once = max(self.most_at_once, self._num_at_once)
        try:
            return self.plan(query, before)
        finally:
            with self._lock:
                self._num_at_once -= 1


class _Quiet(ThreadingHTTPServer):
    teacher: TeacherServer
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Quiet

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        say = self.server.teacher.take(self.path, dict(self.headers.items()), body)
        if say.hang:
            self.server.teacher.closing.wait(20)
            return
        content = say.content if isinstance(say.content, bytes) else json.dumps(say.content).encode()
        self.send_response(say.status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in say.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if say.break_off else content)

    def log_message(self, format: str, *args: Any) -> None:
        """Tests have no log."""
