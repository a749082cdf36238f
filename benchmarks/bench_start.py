"""A start of `replaystack serve` on a data folder that is in use: time to the first healthy answer, memory then."""

from __future__ import annotations

import socket
import tempfile
import time
from pathlib import Path

from benchmarks.client import Connection
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.seeding import seed
from benchmarks.servers import SERVE, Server, launched, model_server, replaystack

AGENTS_COUNT = 100
TURNS_COUNT = 50
START_BAR_S = 1.2
MEMORY_BAR_MB = 150.0
POLL_S = 0.005


def run(quick: bool) -> list[Result]:
    """Starts with default settings; and for scale, the memory with a model server, once its client is loaded."""
    starts = 3 if quick else 9
    with tempfile.TemporaryDirectory() as folder, model_server() as model:
        data = Path(folder) / "data"
        seed(data, AGENTS_COUNT, TURNS_COUNT)
        with replaystack(data):
            pass  # The first start builds the read models.
        measured = [_start(data) for _ in range(starts)]
        with_model_mb = _start(data, model.base_url, settle_s=3.0)[1]
    return [
        of_rounds("start to first healthy answer", [took_s for took_s, _ in measured], "s", START_BAR_S),
        of_rounds("resident memory then", [memory_mb for _, memory_mb in measured], "MB", MEMORY_BAR_MB),
        Result("resident memory with a model server, 3 s later", with_model_mb, "MB"),
    ]


def _start(data: Path, model_url: str = "", settle_s: float = 0.0) -> tuple[float, float]:
    """Seconds from the start of the process to a healthy answer, and its memory in MB `settle_s` later."""
    port = _free_port()
    began = time.perf_counter()
    with launched([*SERVE, "--data", str(data), "--port", str(port)], data, model_url) as process:
        while not _is_healthy(port):
            if process.poll() is not None or time.perf_counter() - began > 60:
                raise RuntimeError(f"The server did not start (exit code {process.returncode}).")
            time.sleep(POLL_S)
        took_s = time.perf_counter() - began
        time.sleep(settle_s)
        return took_s, Server(process, port).memory_mb()


def _is_healthy(port: int) -> bool:
    try:
        with Connection(port, timeout_s=5.0) as connection:
            return b"OK" in connection.get("/v1/health").body
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    standalone(run, "start", __doc__)
