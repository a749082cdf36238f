"""Starts the measured servers: a Replaystack server in a separate process, on a free port and a given
folder."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from tests.servers.processes import RunningServer, running

ROOT = Path(__file__).parents[1]
SERVE = [sys.executable, "-c", "from stack.cli import main; main()", "serve"]
"""Equivalent to the command `replaystack serve`, wherever it is installed."""


class Server:
    """A running server. Its processor time counts the processes that it started too."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.port = port
        self._process = psutil.Process(process.pid)

    def cpu_s(self) -> float:
        """Seconds of processor time so far, user and system, in steps of 10 ms."""
        family = [self._process, *self._process.children(recursive=True)]
        times = [member.cpu_times() for member in family]
        living = sum(spent.user + spent.system for spent in times)
        return float(living + sum(spent.children_user + spent.children_system for spent in times))

    def memory_mb(self) -> float:
        """Resident memory of it and the processes that it started, in MB of 10^6 bytes."""
        family = [self._process, *self._process.children(recursive=True)]
        return float(sum([member.memory_info().rss for member in family])) / 1e6


@contextlib.contextmanager
def replaystack(
    data: Path,
    model_url: str = "",
    lag_file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """A server until the block ends; it is stopped in order, so that its folder can be used again. With
    `lag_file` its event loop is watched (see `probed_server`)."""
    command = SERVE if lag_file is None else [sys.executable, "-m", "benchmarks.probed_server", str(lag_file)]
    command = [*command, "--data", str(data), "--port", "0", "--no-discover-models"]
    with launched(command, data, model_url, environment) as process:
        yield Server(process, _announced_port(process, data))


@contextlib.contextmanager
def launched(
    command: list[str], data: Path, model_url: str = "", more: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """The process of a server command, ended with SIGTERM. What it logs goes to `<data>.log`."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("REPLAYSTACK_", "OPENAI_", "OTEL_"))
    }
    environment |= {"REPLAYSTACK_OTLP_HTTP_PORT": "0", "REPLAYSTACK_OTLP_GRPC_PORT": "0"}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    if model_url:
        environment["OPENAI_BASE_URL"] = model_url
    environment.update(more or {})
    with (
        _log(data).open("w") as log,
        subprocess.Popen(
            command, cwd=data.parent, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def model_server() -> Iterator[RunningServer]:
    """The scripted model server of the tests: it writes prepared bytes and costs next to nothing."""
    with running("tests.servers.scripted_openai") as server:
        yield server


@contextlib.contextmanager
def bare_proxy(model: RunningServer) -> Iterator[Server]:
    """A bare proxy to the model server, until the block ends: see `benchmarks/bare_proxy.py`."""
    command = [sys.executable, "-m", "benchmarks.bare_proxy", "--model-port", str(model.port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Server(process, int(process.stdout.readline()))
        finally:
            process.terminate()


def _announced_port(process: subprocess.Popen[str], data: Path, timeout_s: float = 60.0) -> int:
    """The port of the URL in the first line that the server prints."""
    assert process.stdout is not None
    deadline = time.monotonic() + timeout_s
    ready, _, _ = select.select([process.stdout], [], [], deadline - time.monotonic())
    line = process.stdout.readline() if ready else ""
    port = line.strip().rpartition(":")[2]
    if not port.isdigit():
        raise RuntimeError(f"The server did not start: {line!r}\n{_log(data).read_text()[-3000:]}")
    return int(port)


def _log(data: Path) -> Path:
    return data.with_name(f"{data.name}.log")
