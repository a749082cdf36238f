"""A stand-in for Brave and Tavily on loopback, which speaks the documented shapes of both.

The services cannot be called by tests. What is real here is everything up to the connection.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "search-key-123456"


class SearchServices(ThreadingHTTPServer):
    """`answer` is the list of results, or exactly the body if it is bytes; `status` that of all answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.base_url = f"http://127.0.0.1:{self.server_port}"
        self.answer: list[Any] | bytes = []
        self.status = 200
        self.delay_s = 0.0
        self.asked: list[dict[str, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    server: SearchServices

    def do_GET(self) -> None:  # Brave
        url = urlsplit(self.path)
        assert url.path == "/web/search"
        self._respond(
            {name: values[0] for name, values in parse_qs(url.query).items()},
            self.headers.get("X-Subscription-Token") == KEY and "Authorization" not in self.headers,
            {"type": "search", "web": {"type": "search", "results": self.server.answer}},
        )

    def do_POST(self) -> None:  # Tavily
        assert self.path == "/search"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = {"query": body["query"], "results": self.server.answer, "response_time": 0.1}
        self._respond(body, self.headers.get("Authorization") == f"Bearer {KEY}", answer)

    def _respond(self, asked: dict[str, Any], may: bool, answer: dict[str, Any]) -> None:
        server = self.server
        server.asked.append(asked)
        time.sleep(server.delay_s)
        said = server.answer
        body = said if isinstance(said, bytes) else json.dumps(answer).encode()
        status = server.status if may else 401
        if status != 200:
            body = b'{"error": {"detail": "not like this, %s"}}' % KEY.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


@contextmanager
def search_services() -> Iterator[SearchServices]:
    with SearchServices() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()
