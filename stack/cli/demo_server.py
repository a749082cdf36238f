"""The server of the demo: a real one in a process of its own, which can be killed and started again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from stack.cli.connection import Connection
from stack.data_folder import running_server
from stack.errors import Unavailable

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
_POLL_S = 0.02


class DemoServer:
    """Serves `data` on a free port. `connection` leads to the process that runs now."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    @property
    def connection(self) -> Connection:
        return Connection(self.url)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Returns the seconds until it answered. Raises Unavailable when it does not."""
        began = time.monotonic()
        command = self._command()
        self._process = subprocess.Popen(command, env=_environment(), stdout=subprocess.DEVNULL)  # noqa: S603
        while time.monotonic() - began < START_TIMEOUT_S and self._process.poll() is None:
            server = running_server(self._data)
            # A killed server leaves its address behind.
            if server is not None and server.pid == self._process.pid:
                self.url = server.url
                self.connection.ask("GET", "/v1/health")
                return time.monotonic() - began
            time.sleep(_POLL_S)
        self.stop()
        raise Unavailable("The demo's server did not start; its messages are above.")

    def kill(self) -> None:
        """SIGKILL: the process gets no chance to tidy up."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ends it in order; does nothing when it does not run."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def _command(self) -> list[str]:
        # `-P`: a folder `stack` where the demo is run from is not ours. No hold-back: the first frame at once.
        serve = [
            sys.executable,
            "-P",
            "-m",
            "stack.cli",
            "serve",
            "--config",
            os.devnull,
            "--data",
            str(self._data),
        ]
        ports = ["--port", "0", "--otlp-http-port", "0", "--otlp-grpc-port", "0"]
        return [*serve, *ports, "--no-discover-models", "--hold-back-ms", "0", "--log-level", "error"]


def _environment() -> dict[str, str]:
    """This process's, without anybody's settings, and with the same packages."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("REPLAYSTACK_", "OPENAI_"))
    }
    return kept | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
