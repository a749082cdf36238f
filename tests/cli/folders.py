"""Data folders and servers for the tests of the commands, and the commands themselves, each a real process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from stack.cli.connection import Connection
from stack.cli.demo_server import DemoServer

ROOT = Path(__file__).parents[2]


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REPLAYSTACK_", "OPENAI_", "OTEL_"))}  # fmt: skip
    return kept | {"PYTHONPATH": str(ROOT)} | dict(extra or {})


def replaystack(
    *arguments: str | Path, cwd: Path | None = None, timeout_s: float = 90, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "stack.cli", *map(str, arguments)],
        env=clean_environment(environ),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


@contextlib.contextmanager
def served(data: Path) -> Iterator[Connection]:
    server = DemoServer(data)
    server.start()
    try:
        yield server.connection
    finally:
        server.stop()


def converse(connection: Connection) -> None:
    """Records an agent, a session and a finished turn."""
    config = {"model": "demo/extractive", "instructions": "The harbour opens at ten."}
    agent = connection.ask("POST", "/v1alpha/agents", {"agent_config": config})["agent_id"]
    sessions = f"/v1alpha/agents/{agent}/session"
    session = connection.ask("POST", sessions, {"session_name": "s"})["session_id"]
    turn = {"messages": [{"role": "user", "content": "When does the harbour open?"}]}
    answer = connection.ask("POST", f"{sessions}/{session}/turn", turn)
    assert "ten" in answer["output_message"]["content"]


def wait_for(path: Path, text: str, timeout_s: float = 30.0) -> str:
    """The content of a file once it holds `text`."""
    deadline = time.monotonic() + timeout_s
    while text not in (content := path.read_text()):
        assert time.monotonic() < deadline, content
        time.sleep(0.02)
    return content
