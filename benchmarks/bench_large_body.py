"""The effect on others of an image in a JSON body: how late the event loop wakes up while the turn is served.

Three requests for each size: the turn with the image, a short turn after it (which sends the image again) and GET
of the first. The turn's answer holds the image as well.
"""

from __future__ import annotations

import base64
import http.client
import struct
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.api import new_agent, new_session, whole_turn
from benchmarks.client import Connection
from benchmarks.probed_server import Sample
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.servers import model_server, replaystack

SIZES_MIB = (4, 12, 20)
# The largest image, at the speed at which this machine copies memory for the first time (1 ms per MiB and pass).
BAR_MS = 100.0

Window = tuple[float, float]


def run(quick: bool) -> list[Result]:
    """The worst lag in the time of each request; each size has rounds of its own sessions."""
    rounds = 2 if quick else 5
    windows: dict[tuple[int, str], list[Window]] = {}
    with tempfile.TemporaryDirectory() as folder, model_server() as model:
        lag_file = Path(folder) / "lag.json"
        with replaystack(Path(folder) / "data", model.base_url, lag_file) as server:
            with Connection(server.port) as connection:
                agent_id = new_agent(connection)
                whole_turn(connection, new_session(connection, agent_id))
                sessions = {
                    size: [new_session(connection, agent_id) for _ in range(rounds)] for size in SIZES_MIB
                }
            for size, paths in sessions.items():
                body = _turn(size)
                for path in paths:
                    for name, window in _round(server.port, path, body):
                        windows.setdefault((size, name), []).append(window)
        samples = msgspec.json.decode(lag_file.read_bytes(), type=list[Sample])
    return [
        of_rounds(
            f"worst event-loop lag, image of {size} MiB, {name}",
            [_worst(samples, window) for window in found],
            "ms",
            BAR_MS if size == SIZES_MIB[-1] else None,
        )
        for (size, name), found in windows.items()
    ]


def _round(port: int, path: str, body: bytes) -> list[tuple[str, Window]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def timed(method: str, url: str, content: bytes | None = None) -> tuple[Window, Any]:
        began = time.monotonic()
        connection.request(method, url, content, {"content-type": "application/json"})
        answer = connection.getresponse()
        read = answer.read()
        window = (began, time.monotonic() + 0.02)
        if answer.status != 200:
            raise RuntimeError(f"{method} {url}: {answer.status} {read[:300]!r}")
        time.sleep(0.05)
        return window, read

    posted, answer = timed("POST", f"{path}/turn", body)
    turn_id = msgspec.json.decode(answer)["turn_id"]
    followed, _ = timed("POST", f"{path}/turn", b'{"messages":[{"role":"user","content":"And?"}]}')
    read, _ = timed("GET", f"{path}/turn/{turn_id}")
    connection.close()
    return [("its turn", posted), ("the turn after", followed), ("GET", read)]


def _turn(size_mib: int) -> bytes:
    """The body of a turn with a PNG of so many MiB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    filling = bytes((size_mib << 20) - 200)
    image = b"\x89PNG\r\n\x1a\n" + chunk(b"fiLl", filling) + chunk(b"IEND", b"")
    item = {"type": "image", "image": {"data": base64.b64encode(image).decode()}}
    return msgspec.json.encode({"messages": [{"role": "user", "content": [item]}]})


def _worst(samples: list[Sample], window: Window) -> float:
    begins, ends = window
    return max((lag_ms for at, lag_ms in samples if begins <= at <= ends), default=0.0)


if __name__ == "__main__":
    standalone(run, "large_body", __doc__)
