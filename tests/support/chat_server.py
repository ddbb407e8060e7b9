"""A chat-completions server over real HTTP, for tests of policies behind such a server."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass
class Answer:
    """The response to one request."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def says(text: str | None, finish_reason: str = "stop", **more: Any) -> Answer:
    """Return the response of a server whose model wrote this text."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return Answer(
        body={"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], **more}
    )


class ChatServer:
    """Responds to each request with `answer(body)`; by default a text determined by the seed."""

    def __init__(self) -> None:
        self.answer: Callable[[dict], Answer] = lambda body: says(f"text {body['seed']}")
        self.bodies: list[dict] = []
        """JSON bodies of the requests, in order of arrival."""
        self.keys: list[str] = []
        self.ending = threading.Event()
        """Set when the test ends; a hanging `answer` waits for it."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.bodies.append(body)
                server.keys.append(self.headers["Authorization"])
                answer = server.answer(body)
                content = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
                try:
                    self.send_response(answer.status)
                    for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(content.encode())))
                    self.end_headers()
                    self.wfile.write(content.encode())
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the client was stopped or gave up

            def log_message(self, format: str, *args: Any) -> None:
                """Print nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128  # with socketserver's 5, simultaneous connections get lost

        self._http = Server(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def hang(self, body: dict) -> Answer:
        """Respond only when the test ends."""
        self.ending.wait()
        return Answer(500)

    def close(self) -> None:
        """Stop listening."""
        self.ending.set()
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def chat_server() -> Iterator[ChatServer]:
    """Return a running server."""
    server = ChatServer()
    yield server
    server.close()
