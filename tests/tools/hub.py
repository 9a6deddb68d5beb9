"""A Hugging Face hub for the real client to talk to: as many of its endpoints as making and filling a place needs."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_COMMIT = "0" * 40


class HubServer:
    """Repositories by name, private or not, and what was put into them. ``with`` starts and ends it."""

    def __init__(self) -> None:
        self.is_private = {"me/private": True, "me/public": False}
        self.files: dict[str, dict[str, bytes]] = {}
        self.status = 200  # another: every call is answered so
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "HubServer":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and JSON for ``/api/models/me/name``, ``/api/repos/create``, and below the first what fills it."""
        if self.status != 200:
            return self.status, {"error": "not now"}
        parts = path.split("?")[0].split("/")
        name = "/".join(parts[3:5])
        if path == "/api/repos/create":
            given = json.loads(body)
            name = f"{given['organization']}/{given['name']}"
            self.is_private[name] = given["visibility"] == "private"
            return 200, {"url": f"{self.url}/{name}"}
        if name not in self.is_private:
            return 404, {"error": "Repository not found"}
        if "preupload" in parts:
            paths = [file["path"] for file in json.loads(body)["files"]]
            return 200, {"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in paths]}
        if "commit" in parts:
            lines = [json.loads(line) for line in body.splitlines()]
            files = {x["value"]["path"]: base64.b64decode(x["value"]["content"]) for x in lines if x["key"] == "file"}
            self.files.setdefault(name, {}).update(files)
            return 200, {"commitUrl": f"{self.url}/{name}/commit/{_COMMIT}", "commitOid": _COMMIT}
        return 200, {"id": name, "private": self.is_private[name], "sha": _COMMIT, "siblings": [], "tags": []}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._reply(b"")

            def do_POST(self) -> None:
                length = self.headers["Content-Length"]
                self._reply(self._chunks() if length is None else self.rfile.read(int(length)))

            def _chunks(self) -> bytes:
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                return body

            def _reply(self, body: bytes) -> None:
                status, content = hub.answer(self.path, body)
                answer = json.dumps(content).encode()
                self.send_response(status)
                if status == 404:
                    self.send_header("X-Error-Code", "RepoNotFound")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        return Handler
