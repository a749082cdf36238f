"""The processes that execute code: none outlives its server, and one that is killed is replaced."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection

import psutil
import pytest

from tests.providers.tools.code.running import Running, running, text
from tests.servers.processes import ROOT

pytestmark = pytest.mark.slow

WAIT_S = 60.0
SANDBOX = {"engine": "sandbox", "python": sys.executable}


def any_of(
    server: int, is_it: Callable[[str], bool], others: Collection[psutil.Process] = ()
) -> psutil.Process | None:
    """Returns a process below `server` whose command line fits, and which is not of another test (`others`)."""
    for one in psutil.Process(server).children(recursive=True):
        if one in others:
            continue
        try:
            if is_it(" ".join(one.cmdline())):
                return one
        except psutil.NoSuchProcess:
            continue
    return None


def executes(line: str) -> bool:
    """Whether it is the interpreter of the code, and not a worker or bubblewrap."""
    return line.endswith("monty subprocess") or (
        "memory_bytes" in line and "bwrap" not in line and "-I -B" in line
    )


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"timeout_s": 3600.0}, "while True: pass"),
        ({**SANDBOX, "timeout_s": 3600.0}, "import time\nwhile True: time.sleep(1)"),
    ],
    ids=["monty", "sandbox"],
)
def test_nothing_outlives_a_server_that_is_killed(settings: dict[str, object], code: str) -> None:
    source = (
        "from tests.providers.tools.code.running import running\n"
        f"with running(**{settings!r}) as code:\n    while True: code.run({code!r})\n"
    )
    server = subprocess.Popen([sys.executable, "-c", source], cwd=ROOT)
    until = time.monotonic() + WAIT_S
    while any_of(server.pid, executes) is None:
        assert time.monotonic() < until, "no code is executed"
        time.sleep(0.05)
    family = psutil.Process(server.pid).children(recursive=True)
    os.kill(server.pid, 9)
    server.wait()
    _, alive = psutil.wait_procs(family, timeout=WAIT_S)
    assert alive == []


@pytest.mark.parametrize("settings", [{}, SANDBOX], ids=["monty", "sandbox"])
def test_processes_that_are_killed(settings: dict[str, object]) -> None:
    """The interpreter, and then the worker above it: the model is told, and the next code is executed. A kept worker may
    have ended while it was idle, so that code is executed once more if one ends."""
    seen: set[psutil.Process] = set()
    others = set(psutil.Process().children(recursive=True))
    with running(timeout_s=3600.0, **settings) as code:
        for victim in (executes, lambda line: "stack.workers.child" in line):
            result = code.runner.run(ended_by_kills(code, victim, seen, others))
            assert getattr(result, "is_error", False)
            assert code.run("1 + 1") == text("2")
    _, alive = psutil.wait_procs(seen, timeout=WAIT_S)
    assert alive == []


async def ended_by_kills(
    code: Running, victim: Callable[[str], bool], seen: set[psutil.Process], others: set[psutil.Process]
) -> object:
    """Returns the outcome of endless code whose processes are killed. Adds all processes to `seen`."""
    outcome = asyncio.create_task(code.group.call(code.request("while True: pass")))
    while not outcome.done():
        seen.update(set(psutil.Process().children(recursive=True)) - others)
        if any_of(os.getpid(), executes, others) and (one := any_of(os.getpid(), victim, others)):
            one.kill()
        await asyncio.sleep(0.05)
    return outcome.result()
