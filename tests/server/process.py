"""A Replaystack server in a process of its own, on a free loopback port and a data folder of the test."""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

import httpx

ROOT = Path(__file__).parents[2]
COMMAND = "import sys; from stack.cli import main; sys.argv[0] = 'replaystack'; main()"
PORTS_OFF = ("--otlp-http-port", "0", "--otlp-grpc-port", "0")
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0

T = TypeVar("T")


def free_port() -> int:
    """Returns a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class DidNotStart(Exception):
    """The server ended, or said nothing, before it served. Has its exit code and its log."""

    def __init__(self, exit_code: int | None, log: str) -> None:
        super().__init__(f"exit code {exit_code}: {log}")
        self.exit_code = exit_code
        self.log = log


class Process(Protocol):
    """A process that was started here."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        ...


class Replaystack:
    """`replaystack serve` on `data`. `settings` are flags by their name, `environment` comes on top.

    A model `scripted/<script>` is served by the scripted model server at `model_url`; so is `impatient/<script>`,
    of which silence is taken for half a second only. With `quick` the process is forked from one that has
    imported everything already.
    """

    def __init__(
        self,
        data: Path,
        *,
        model_url: str = "",
        settings: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        quick: bool = True,
    ) -> None:
        self.data = data
        self.url = ""
        self.pid = 0
        self._log = data.parent / f"{data.name}.log"
        self._said = data.parent / f"{data.name}.out"
        self._settings = dict(settings or {})
        self._environment = _clean_environment()
        if model_url:
            patient = {"id": "scripted", "base_url": model_url, "flavour": "generic", "max_retries": 0}
            impatient = {"id": "impatient", "first_token_timeout_s": 0.5, "stall_timeout_s": 0.5}
            self._environment["REPLAYSTACK_INFERENCE"] = json.dumps([patient, patient | impatient])
        self._environment.update(environment or {})
        self._quick = quick
        self._process: Process | None = None

    def __enter__(self) -> Replaystack:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """Returns the log of all starts of this server so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, **changed: object) -> Replaystack:
        """Returns once it serves; `changed` settings are kept for later starts. Raises DidNotStart."""
        assert not self.running
        self._settings.update(changed)
        flags = [part for name, value in self._settings.items() for part in _flag(name, value)]
        arguments = [
            "serve",
            "--data",
            str(self.data),
            "--port",
            "0",
            "--no-discover-models",
            *PORTS_OFF,
            *flags,
        ]
        begins_at = len(self.log)
        self._said.unlink(missing_ok=True)
        self._process = self._forked(arguments) if self._quick else self._executed(arguments)
        self.pid = self._process.pid
        self.url = self._announced_url()
        if not self.url:
            exit_code = self._process.poll()
            self.kill9()
            raise DidNotStart(exit_code, self.log[begins_at:])
        return self

    def _executed(self, arguments: Sequence[str]) -> Process:
        with self._log.open("a") as log, self._said.open("w") as said:
            return subprocess.Popen(
                [sys.executable, "-c", COMMAND, *arguments],
                cwd=self.data.parent,
                env=self._environment,
                stdout=said,
                stderr=log,
            )

    def _forked(self, arguments: Sequence[str]) -> Process:
        return _prefork().start(
            argv=["replaystack", *arguments],
            cwd=str(self.data.parent),
            env=self._environment,
            stdout=str(self._said),
            stderr=str(self._log),
        )

    def _announced_url(self) -> str:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            first, whole, _ = self._said.read_text().partition("\n") if self._said.exists() else ("", "", "")
            if whole and "http://" in first:
                return first.rpartition(" ")[2]
            if not self.running:
                return ""
            time.sleep(0.005)
        return ""

    def terminate(self) -> None:
        """Sends SIGTERM and returns at once."""
        os.kill(self.pid, signal.SIGTERM)

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """The exit code, once the process has ended. Raises TimeoutError."""
        assert self._process is not None
        deadline = time.monotonic() + timeout_s
        while (exit_code := self._process.poll()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.pid} did not end: {self.log[-4000:]}")
            time.sleep(0.005)
        return exit_code

    def stop(self) -> int:
        """Ends it as a service manager would. Returns the exit code, 0 where it was never started."""
        if self._process is None:
            return 0
        if self.running:
            self.terminate()
        try:
            return self.wait()
        except TimeoutError:
            self.kill9()
            raise

    def kill9(self) -> None:
        if self.running:
            os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def restart(self, **changed: object) -> Replaystack:
        """Stops it in order and starts it again on the same data."""
        self.stop()
        return self.start(**changed)

    def http(self, **options: Any) -> httpx.Client:
        """A client of this server; close it."""
        return httpx.Client(base_url=self.url, trust_env=False, verify=False, timeout=30.0, **options)

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


class Prefork:
    """The process that servers are forked from; see `prefork.py`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.server.prefork"],
            cwd=ROOT,
            env=_clean_environment() | {"OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._exit_codes: dict[int, int] = {}
        assert "ready" in self._heard()
        os.set_blocking(self._out.fileno(), False)

    def start(self, **wanted: Any) -> Forked:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(wanted).encode() + b"\n")
        self._process.stdin.flush()
        return Forked(self, int(wait_until(self._started, START_TIMEOUT_S, 0.002)))

    def exit_code(self, pid: int) -> int | None:
        while pid not in self._exit_codes and self._heard():
            pass
        return self._exit_codes.get(pid)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(STOP_TIMEOUT_S)
        self._out.close()

    @property
    def _out(self) -> Any:
        return self._process.stdout

    def _started(self) -> int:
        while heard := self._heard():
            if "started" in heard:
                return int(heard["started"])
        return 0

    def _heard(self) -> dict[str, int]:
        line = self._out.readline()
        heard: dict[str, int] = json.loads(line) if line else {}
        if "ended" in heard:
            self._exit_codes[heard["ended"]] = heard["exit_code"]
        return heard


class Forked:
    """A process that was forked for us; a `Process`."""

    def __init__(self, prefork: Prefork, pid: int) -> None:
        self.pid = pid
        self._prefork = prefork

    def poll(self) -> int | None:
        return self._prefork.exit_code(self.pid)


@cache
def _prefork() -> Prefork:
    prefork = Prefork()
    atexit.register(prefork.close)
    return prefork


def wait_until(condition: Callable[[], T], timeout_s: float = 60.0, every_s: float = 0.02) -> T:
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
