"""What the Hugging Face hub answers to who sends a folder, on this machine."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

TOKEN = "hf_stand_in"


class Hub:
    """Repositories by kind and name, with their files; it takes large ones as it takes small ones.

    `refuses` answers as to a token that may only read; after `full_after` repositories no other is made.
    """

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.refuses, self.full_after = False, 100
        self.address = ""

    def answer(self, path: str, body: bytes, token: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON."""
        if path.startswith("/api/repos/create") and len(self.repositories) >= self.full_after:
            return 500, {"error": "no room"}
        if self.refuses or token != f"Bearer {TOKEN}":
            return 403, {"error": "this token may not write"}
        parts = path.split("?")[0].strip("/").split("/")
        if path.startswith("/api/repos/create"):
            given = json.loads(body)
            name, kind = f"{given['organization']}/{given['name']}", given.get("type", "model")
            self.repositories.setdefault((f"{kind}s", name), {})
            self.private[name] = given.get("private", given.get("visibility") == "private")
            return 200, {"url": f"{self.address}/{'' if kind == 'model' else kind + 's/'}{name}"}
        if path.startswith("/api/validate-yaml"):
            return 200, {"warnings": [], "errors": []}
        if parts[4] == "preupload":
            files = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            return 200, {"files": files}
        repository = self.repositories[parts[1], "/".join(parts[2:4])]
        for line in body.decode().splitlines():
            one = json.loads(line)
            if one["key"] == "file":
                repository[one["value"]["path"]] = base64.b64decode(one["value"]["content"])
        commit = "0" * 40
        page = f"{self.address}/{'' if parts[1] == 'models' else parts[1] + '/'}{'/'.join(parts[2:4])}"
        return 200, {"success": True, "commitOid": commit, "commitUrl": f"{page}/commit/{commit}"}


@contextmanager
def stand_in() -> Iterator[Hub]:
    """A hub that listens on this machine alone."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: Any) -> None: ...

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._send(*hub.answer(self.path, body, self.headers.get("Authorization", "")))

        def do_GET(self) -> None:
            self._send(404, {"error": "not found"})

        def _send(self, status: int, answer: dict[str, Any]) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
