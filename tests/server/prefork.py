"""Starts servers by forking a process that has imported everything: 0.2 s of CPU a start instead of 2.3 s.

    python -m tests.server.prefork

Reads one JSON object per line, `{"argv", "cwd", "env", "stdout", "stderr"}` (the last two are paths), forks a process
that runs `replaystack` with these (its clock is ahead by the seconds in `TEST_CLOCK_AHEAD_S`), and says `{"started": pid}`; later `{"ended": pid, "exit_code": code}`. Ends with
its input, and ends all that it has started. What is forked is the command as it is: only its imports are done.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import sys
import time
from typing import Any, NoReturn

MODULES = (
    "stack.app",
    "stack.cli.serve",
    "stack.logs",
    "uvloop",
    "anyio._backends._asyncio",
    "eventsourcing.popo",
    "litestar._kwargs",
    "litestar.exceptions.responses",
    "litestar.plugins.attrs",
    "litestar.plugins.pydantic",
    "httpx2",
    "stack.providers.tools.mcp_connect",
    "stack.providers.tools.mcp_session",
)


def serve() -> None:
    for module in MODULES:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    children: set[int] = set()
    rest = b""
    _say({"ready": os.getpid()})
    while True:
        ready, _, _ = select.select([0], [], [], 0.02)
        if ready:
            read = os.read(0, 65536)
            if not read:
                break
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                children.add(_forked(json.loads(line)))
        children -= _ended(children)
    for child in children:
        os.kill(child, signal.SIGKILL)


def _forked(wanted: dict[str, Any]) -> int:
    child = os.fork()
    if not child:
        _become(wanted)
    _say({"started": child})
    return child


def _become(wanted: dict[str, Any]) -> NoReturn:
    """The forked process: takes over directory, environment and files, and runs the command."""
    appended = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(wanted["stdout"], appended | os.O_TRUNC, 0o600), 1)
    os.dup2(os.open(wanted["stderr"], appended, 0o600), 2)
    os.chdir(wanted["cwd"])
    os.environ.clear()
    os.environ.update(wanted["env"])
    sys.argv = wanted["argv"]
    _set_clock(float(os.environ.pop("TEST_CLOCK_AHEAD_S", "0")))
    exit_code: Any = 1
    try:
        from stack.cli import main

        main()
    except SystemExit as ended:
        exit_code = ended.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code if isinstance(exit_code, int) else int(exit_code is not None))


def _set_clock(ahead_s: float) -> None:
    true_ns = time.time_ns
    if ahead_s:
        ahead_ns = int(ahead_s * 1e9)
        time.time_ns = lambda: true_ns() + ahead_ns
        time.time = lambda: time.time_ns() / 1e9


def _ended(children: set[int]) -> set[int]:
    ended = set()
    for child in children:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            ended.add(pid)
            _say({"ended": pid, "exit_code": os.waitstatus_to_exitcode(status)})
    return ended


def _say(what: dict[str, Any]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    serve()
    # DuckDB's bindings have a lot to say about an interpreter that ends in order.
    os._exit(0)
