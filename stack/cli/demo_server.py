"""The server of the demo: a real server in a separate process, which can be killed and restarted."""

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
# `-P`: a folder `stack` in the working directory must not be imported. No hold-back: the first frame is sent
# at once.
_SERVE = [
    "-P",
    "-m",
    "stack.cli",
    "serve",
    "--port",
    "0",
    "--otlp-http-port",
    "0",
    "--otlp-grpc-port",
    "0",
    "--no-discover-models",
    "--hold-back-ms",
    "0",
    "--log-level",
    "error",
]


class DemoServer:
    """Serves `data` on a free port. `connection` is a client of the currently running process."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.connection = Connection("")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Starts the server and returns a text with its address and start time. Raises Unavailable if it does
        not start."""
        began = time.monotonic()
        # Without the user's settings, and with the same packages.
        env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("REPLAYSTACK_", "OPENAI_"))
        }
        env["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        command = [sys.executable, *_SERVE, "--config", os.devnull, "--data", str(self._data)]
        process = self.process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)  # noqa: S603
        while time.monotonic() - began < START_TIMEOUT_S and process.poll() is None:
            server = running_server(self._data)
            # A killed server does not remove its address file.
            if server is not None and server.pid == process.pid:
                self.connection = Connection(server.url)
                self.connection.ask("GET", "/v1/health")
                took_s = time.monotonic() - began
                return f"Server process {process.pid} answers at {server.url} after {took_s:.1f} s."
            time.sleep(_POLL_S)
        self.stop()
        raise Unavailable("The demo's server did not start; its messages are above.")

    def kill(self) -> int:
        """Sends SIGKILL, so that the process cannot clean up. Returns its process id."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        return self.process.pid

    def stop(self) -> None:
        """Stops the server gracefully; has no effect if it is not running."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
