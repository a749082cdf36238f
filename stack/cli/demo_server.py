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
# `-P`: a folder `stack` where the demo is run from is not ours. No hold-back: the first frame at once.
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
    """Serves `data` on a free port. `connection` leads to the process that runs now."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.connection = Connection("")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Returns who answers where, after how long. Raises Unavailable when it does not."""
        began = time.monotonic()
        # Without anyone's settings, and with the same packages.
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
            # A killed server leaves its address behind.
            if server is not None and server.pid == process.pid:
                self.connection = Connection(server.url)
                self.connection.ask("GET", "/v1/health")
                took_s = time.monotonic() - began
                return f"Server process {process.pid} answers at {server.url} after {took_s:.1f} s."
            time.sleep(_POLL_S)
        self.stop()
        raise Unavailable("The demo's server did not start; its messages are above.")

    def kill(self) -> int:
        """SIGKILL: the process, whose id is returned, gets no chance to tidy up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        return self.process.pid

    def stop(self) -> None:
        """Ends it in order; does nothing when it does not run."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
