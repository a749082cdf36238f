"""A start of `replaystack serve` on a data folder that is in use: time to the first healthy answer, memory then.

The time is compared with importing uvicorn, DuckDB and msgspec, which every server on them needs. All of it is
measured with bytecode: without, which `PYTHONDONTWRITEBYTECODE` can cause, every start compiles 1,100 modules.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.api import new_agent, new_session, streamed_turn
from benchmarks.client import Connection
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.seeding import seed
from benchmarks.servers import SERVE, Server, launched, model_server, replaystack

AGENTS_COUNT = 100
TURNS_COUNT = 50
RATIO_BAR = 3.5
MEMORY_BAR_MB = 130.0
LIBRARIES = [sys.executable, "-c", "import uvicorn, duckdb, msgspec"]
POLL_S = 0.005


def run(quick: bool) -> list[Result]:
    """Starts with default settings; and for scale, the memory after turns with a model server, whose client
    is loaded with the first of them."""
    starts = 3 if quick else 9
    with tempfile.TemporaryDirectory() as folder, model_server() as model:
        data = Path(folder) / "data"
        seed(data, AGENTS_COUNT, TURNS_COUNT)
        environment = {"PYTHONPYCACHEPREFIX": str(Path(folder) / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
        _start(data, environment)  # The first start builds the read models and writes the bytecode.
        measured = [(*_start(data, environment), _imports(environment)) for _ in range(starts)]
        with replaystack(data, model.base_url) as server, Connection(server.port) as connection:
            session = new_session(connection, new_agent(connection))
            for _ in range(20):
                streamed_turn(connection, session)
            after_turns_mb = server.memory_mb()
    return [
        of_rounds("start to first healthy answer", [took_s for took_s, _, _ in measured], "s"),
        of_rounds(
            "the same against importing uvicorn, DuckDB and msgspec",
            [took_s / imports_s for took_s, _, imports_s in measured],
            "x",
            RATIO_BAR,
        ),
        of_rounds("resident memory then", [memory_mb for _, memory_mb, _ in measured], "MB", MEMORY_BAR_MB),
        Result("resident memory after 20 turns with a model server", after_turns_mb, "MB"),
    ]


def _imports(environment: Mapping[str, str]) -> float:
    """Seconds that a process takes which only imports the libraries."""
    began = time.perf_counter()
    subprocess.run(LIBRARIES, env={**os.environ, **environment}, check=True)
    return time.perf_counter() - began


def _start(data: Path, environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds from the start of the process to a healthy answer, and its memory in MB then."""
    port = _free_port()
    began = time.perf_counter()
    with launched([*SERVE, "--data", str(data), "--port", str(port)], data, more=environment) as process:
        while not _is_healthy(port):
            if process.poll() is not None or time.perf_counter() - began > 60:
                raise RuntimeError(f"The server did not start (exit code {process.returncode}).")
            time.sleep(POLL_S)
        return time.perf_counter() - began, Server(process, port).memory_mb()


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
