"""The part of the hub's HTTP API that a commit of small files needs: repositories in memory, files sent inline.

The hub's storage of large files (LFS, xet) is not implemented.
"""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_of-a-test"


class HubServer(ThreadingHTTPServer):
    """Stores each repository's visibility and files."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.private: dict[str, bool] = {}
        self.files: dict[str, dict[str, bytes]] = {}

    @property
    def url(self) -> str:
        """The address, for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""

    def do_POST(self) -> None:
        """Create a repository, tell how to send each file, or accept a commit."""
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else self._chunks()
        path = self.path.partition("?")[0]
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer(401, {"error": "Invalid username or password."})
        if path == "/api/repos/create":
            request = json.loads(body)
            name = f"{request['organization']}/{request['name']}"
            if name in self.server.files:
                return self._answer(409, {"error": "You already created this dataset repo", "url": self._repo(name)})
            self.server.private[name], self.server.files[name] = request.get("visibility") == "private", {}
            return self._answer(200, {"url": self._repo(name), "name": name, "id": "1"})
        if path == "/api/validate-yaml":
            return self._answer(200, {"errors": [], "warnings": []})
        name = "/".join(path.split("/")[3:5])
        if path.endswith("/preupload/main"):
            inline = {"uploadMode": "regular", "shouldIgnore": False}
            files = [{"path": file["path"], **inline} for file in json.loads(body)["files"]]
            return self._answer(200, {"files": files})
        for line in body.decode().splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                self.server.files[name][entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
        return self._answer(200, {"commitUrl": f"{self._repo(name)}/commit/abc", "commitOid": "abc"})

    def do_GET(self) -> None:
        """Answer that nothing was found."""
        self._answer(404, {"error": "Not found"})

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _repo(self, name: str) -> str:
        return f"{self.server.url}/datasets/{name}"

    def _answer(self, status: int, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running_hub() -> Iterator[HubServer]:
    """Yield a server that listens until the block ends."""
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
