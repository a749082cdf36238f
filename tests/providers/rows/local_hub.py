"""A hub on loopback that serves datasets as the real one lays them out: revisions, a tree in pages, files of which
the large ones are redirected to another host, as to a CDN."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PAGE = 3
LARGE_BYTES = 1000


class LocalHub:
    """`datasets` maps names to revisions, and those to paths and contents. `requests` are method, path and
    authorization; `broken` answers 503 to everything."""

    def __init__(self) -> None:
        self.datasets: dict[str, dict[str, dict[str, bytes]]] = {}
        self.gated: set[str] = set()
        self.requests: list[tuple[str, str, str]] = []
        self.broken = False
        self.port = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def commit(self, name: str, revision: str) -> str:
        files = self.datasets[name][revision]
        return hashlib.sha1(repr((name, revision, sorted(files))).encode()).hexdigest()

    def files(self, name: str, revision: str) -> dict[str, bytes] | None:
        """Returns the files of a revision or a commit; None if it does not exist."""
        for known, files in self.datasets[name].items():
            if revision in (known, self.commit(name, known)):
                return files
        return None


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.hub.requests.append((self.command, self.path, self.headers.get("authorization", "")))
        url = urlsplit(self.path)
        if self.hub.broken:
            return self._send(503, b"busy")
        if url.path.startswith("/cdn/"):
            _, _, name, commit, path = unquote(url.path).split("/", 4)
            files = self.hub.files(name.replace("--", "/"), commit) or {}
            return self._send(200, files[path])
        api = url.path.startswith("/api/")
        rest = url.path.removeprefix("/api").removeprefix("/datasets/")
        for name in self.hub.datasets:
            if rest.startswith(name + "/"):
                if name in self.hub.gated:
                    return self._send(403, b"", ("X-Error-Code", "GatedRepo"))
                what, _, place = rest.removeprefix(name + "/").partition("/")
                revision, _, path = place.partition("/")
                return self._serve(api, name, what, unquote(revision), unquote(path), url.query)
        return self._send(404, b"{}", ("X-Error-Code", "RepoNotFound"))

    def _serve(self, api: bool, name: str, what: str, revision: str, path: str, query: str) -> None:
        files = self.hub.files(name, revision)
        if files is None:
            return self._send(404, b"{}", ("X-Error-Code", "RevisionNotFound"))
        known = next(key for key in self.hub.datasets[name] if self.hub.files(name, key) is files)
        commit = self.hub.commit(name, known)
        if api and what == "revision":
            return self._json(
                {"id": name, "sha": commit, "siblings": [{"rfilename": path} for path in files]}
            )
        if api and what == "tree":
            return self._tree(files, parse_qs(query))
        if path not in files:
            return self._send(404, b"", ("X-Error-Code", "EntryNotFound"), ("X-Repo-Commit", commit))
        content = files[path]
        etag = hashlib.sha256(content).hexdigest()
        if len(content) <= LARGE_BYTES:
            return self._send(200, content, ("X-Repo-Commit", commit), ("ETag", f'"{etag}"'))
        return self._send(
            302,
            b"",
            ("X-Repo-Commit", commit),
            ("X-Linked-ETag", f'"{etag}"'),
            ("X-Linked-Size", str(len(content))),
            ("Location", f"http://localhost:{self.hub.port}/cdn/{name.replace('/', '--')}/{commit}/{path}"),
        )

    def _tree(self, files: dict[str, bytes], query: dict[str, list[str]]) -> None:
        folders = {path.rpartition("/")[0] for path in files} - {""}
        entries = [{"type": "directory", "path": folder, "oid": "0" * 40, "size": 0} for folder in folders]
        entries += [
            {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            for path, content in files.items()
        ]
        at = int(query.get("cursor", ["0"])[0])
        headers = []
        if at + PAGE < len(entries):
            url = urlsplit(self.path)
            headers.append(
                ("Link", f'<{self.hub.endpoint}{url.path}?recursive=True&cursor={at + PAGE}>; rel="next"')
            )
        self._json(entries[at : at + PAGE], *headers)

    def _json(self, value: Any, *headers: tuple[str, str]) -> None:
        self._send(200, json.dumps(value).encode(), ("Content-Type", "application/json"), *headers)

    def _send(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def running_hub() -> Iterator[LocalHub]:
    hub = LocalHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        hub.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
