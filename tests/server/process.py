"""A Replaystack server in a process of its own, on a free loopback port and a data folder of the test."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
COMMAND = "import sys; from stack.cli import main; sys.argv[0] = 'replaystack'; main()"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


class DidNotStart(Exception):
    """The server ended, or said nothing, before it served. Has its exit code and its log."""

    def __init__(self, exit_code: int | None, log: str) -> None:
        super().__init__(f"exit code {exit_code}: {log}")
        self.exit_code = exit_code
        self.log = log


class Replaystack:
    """`replaystack serve` on `data`. `settings` are flags by their name, `environment` comes on top.

    A model `scripted/<script>` is served by the scripted model server at `model_url`; so is `impatient/<script>`,
    of which silence is taken for half a second only.
    """

    def __init__(
        self,
        data: Path,
        *,
        model_url: str = "",
        settings: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.data = data
        self.url = ""
        self.pid = 0
        self._log = data.parent / f"{data.name}.log"
        self._settings = dict(settings or {})
        self._environment = _clean_environment()
        if model_url:
            patient = {"id": "scripted", "base_url": model_url, "flavour": "generic", "max_retries": 0}
            impatient = {"id": "impatient", "first_token_timeout_s": 0.5, "stall_timeout_s": 0.5}
            self._environment["REPLAYSTACK_INFERENCE"] = json.dumps([patient, patient | impatient])
        self._environment.update(environment or {})
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Replaystack:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """What all starts of this server have logged so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, **changed: object) -> Replaystack:
        """Returns once it serves; `changed` settings are kept for later starts. Raises DidNotStart."""
        assert not self.running
        self._settings.update(changed)
        flags = [part for name, value in self._settings.items() for part in _flag(name, value)]
        command = [sys.executable, "-c", COMMAND, "serve", "--data", str(self.data), "--port", "0"]
        begins_at = len(self.log)
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [*command, "--no-discover-models", *flags],
                cwd=self.data.parent,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.pid = self._process.pid
        self.url = self._announced_url()
        if not self.url:
            exit_code = self._process.poll()
            self.kill9()
            raise DidNotStart(exit_code, self.log[begins_at:])
        return self

    def _announced_url(self) -> str:
        process = self._process
        assert process is not None and process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
        line = process.stdout.readline() if ready else ""
        if "http://" not in line:
            if ready:
                process.wait(STOP_TIMEOUT_S)
            return ""
        return line.strip().rpartition(" ")[2]

    def terminate(self) -> None:
        """Sends SIGTERM and returns at once."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """The exit code, once the process has ended."""
        assert self._process is not None and self._process.stdout is not None
        exit_code = self._process.wait(timeout_s)
        self._process.stdout.close()
        return exit_code

    def stop(self) -> int:
        """Ends it as a service manager would. Returns the exit code, 0 where it does not run."""
        if not self.running:
            return self.wait() if self._process is not None else 0
        self.terminate()
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.kill9()
            raise

    def kill9(self) -> None:
        assert self._process is not None
        self._process.kill()
        self.wait()

    def restart(self, **changed: object) -> Replaystack:
        """Stops it in order and starts it again on the same data."""
        self.stop()
        return self.start(**changed)

    def http(self, **options: Any) -> httpx.Client:
        """A client of this server; close it."""
        return httpx.Client(base_url=self.url, trust_env=False, timeout=30.0, **options)

    def state(self) -> dict[str, Any]:
        """How the server says that it is: log, view, tasks."""
        token = json.loads((self.data / "server.json").read_bytes())["token"]
        headers = {"authorization": f"Bearer {token}"}
        with self.http(headers=headers) as client:
            state: dict[str, Any] = client.get("/admin/state").raise_for_status().json()
        return state

    def check_healthy(self) -> None:
        """Fails unless it answers, has applied all it recorded, and no task of it has failed."""
        assert self.running, self.log
        state = self.state()
        assert not state["view"]["degraded"], state["view"]
        assert state["view"]["serving"]
        assert not [task for task in state["tasks"] if task["state"] == "failed"], self.log


def wait_until(condition: Any, timeout_s: float = 10.0, every_s: float = 0.02) -> Any:
    """The first true value of `condition()`. Fails when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(every_s)
    return value


def _flag(name: str, value: object) -> list[str]:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    return [f"--{option}", str(value)]


def _clean_environment() -> dict[str, str]:
    """This process's environment without anything that is a setting."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("REPLAYSTACK_", "OPENAI_"))}
    return kept | {"PYTHONPATH": str(ROOT)}
