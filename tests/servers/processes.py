"""Starts a server module in a process of its own and stops it; its first line of output is its port."""

from __future__ import annotations

import base64
import contextlib
import json
import select
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class RunningServer:
    """A model server on loopback. `base_url` ends in `/v1`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.base_url = f"http://127.0.0.1:{port}/v1"

    def _ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def counts(self) -> dict[str, Any]:
        """Counts of the scripted server: requests, connections, finished, disconnects, open, by_model."""
        counts: dict[str, Any] = self._ask("/control/counts")
        return counts

    def requests(self) -> list[dict[str, Any]]:
        """Returns the last requests to the scripted server, each `{headers, body}`."""
        requests: list[dict[str, Any]] = self._ask("/control/requests")
        return requests

    def queue(self, *scripts: str) -> None:
        """Sets the scripted server's responses to the next requests, whatever model they name."""
        self._ask("/control/queue", list(scripts))

    def queue_body(self, body: bytes, kind: str = "application/json", **settings: int) -> None:
        """Sets exactly the body of the next response, and its content type."""
        said = {"body": base64.b64encode(body).decode(), **({"type": kind} if kind else {}), **settings}
        self.queue(";".join(["wire", *(f"{name}={value}" for name, value in said.items())]))

    def reset(self) -> None:
        self._ask("/control/reset", {})


@contextlib.contextmanager
def running(module: str, *options: str, start_timeout_s: float = 60.0) -> Iterator[RunningServer]:
    """Runs `python -m module --port 0` with further `options` until the block ends."""
    command = [sys.executable, "-m", module, "--port", "0", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], start_timeout_s)
            line = process.stdout.readline() if ready else ""
            if not line.strip().isdigit():
                raise RuntimeError(f"{module} did not start: {line!r} (exit code {process.poll()})")
            yield RunningServer(int(line))
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
