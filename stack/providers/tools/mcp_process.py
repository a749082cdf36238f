"""The process of an MCP server that speaks over its standard input and output.

The process runs in a session of its own and ends with all its children. It gets a few harmless variables of the
environment and those of the settings, never the server's own, which may contain keys.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

READ_BYTES = 64 * 1024
WRITE_S = 30.0
"""A server that does not read its input for this long, in seconds, is ended."""
END_S = 1.0
"""How long a server may take to end by itself, and then after SIGTERM."""
_POLL_S = 0.01
_STDERR_BYTES = 4096
_SECRET_CHARACTERS = 8
_INHERITED = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")


# Linux ends the process with the thread of MCP clients, also if this server is killed: a server that hangs does not
# notice the end of its input. In a small program, because code between fork and exec is not safe in a process with threads.
_START = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""


def _command(command: Sequence[str], env: Mapping[str, str], cwd: str | None) -> list[str]:
    """Raises FileNotFoundError."""
    program = str(Path(cwd or ".", command[0])) if os.sep in command[0] else command[0]
    path = shutil.which(program, path=env.get("PATH", os.environ.get("PATH")))
    if path is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
    if sys.platform != "linux":
        return [path, *command[1:]]
    return [sys.executable, "-I", "-S", "-c", _START, str(os.getpid()), path, *command[1:]]


class ServerProcess:
    """Create it, and call its methods, in one event loop and the thread that outlives the process. Raises OSError if the
    command cannot be started."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: str | None) -> None:
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        self._process = subprocess.Popen(  # noqa: S603
            _command(command, env, cwd),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=inherited | dict(env),
            cwd=cwd,
            # Its group contains all its children; and Ctrl-C in a terminal is for the server only.
            start_new_session=True,
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._in, self._out, self._err = self._process.stdin, self._process.stdout, self._process.stderr
        for pipe in (self._in, self._out, self._err):
            os.set_blocking(pipe.fileno(), False)
        self._said = b""
        # Messages are shown to models and callers.
        self._secrets = {name: value for name, value in env.items() if len(value) >= _SECRET_CHARACTERS}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._err.fileno(), self._listen)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def read(self) -> bytes:
        """Returns output of the process as soon as there is some; empty at its end."""
        while True:
            try:
                return os.read(self._out.fileno(), READ_BYTES)
            except BlockingIOError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader, self._out.fileno())

    async def write(self, data: bytes) -> None:
        """Raises OSError if the process has ended, and TimeoutError if it does not read its input."""
        left = memoryview(data)
        async with asyncio.timeout(WRITE_S):
            while left:
                try:
                    left = left[os.write(self._in.fileno(), left) :]
                except BlockingIOError:
                    await self._ready(self._loop.add_writer, self._loop.remove_writer, self._in.fileno())

    async def outcome(self) -> str:
        """Returns how the process ended and the end of its standard error, for messages. Called after the end of
        its output."""
        await self._ended()
        self._listen()
        code = self._process.poll()
        if code is None:
            ended = "it closed its output"
        else:
            ended = f"it exited with code {code}" if code >= 0 else f"it was ended by signal {-code}"
        said = self._said.decode("utf-8", "replace").strip()
        for name, value in self._secrets.items():
            said = said.replace(value, f"[{name}]")
        return f"{ended}: {said[-500:]}" if said else ended

    async def end(self) -> None:
        """Ends the process: closes its input, then SIGTERM, then SIGKILL to its whole group."""
        with suppress(OSError):
            self._in.close()
        if not await self._ended():
            self._signal(signal.SIGTERM)
            await self._ended()
        # Also if it has ended: its children may still run.
        self._signal(signal.SIGKILL)
        await self._ended()
        if not self._err.closed:
            self._loop.remove_reader(self._err.fileno())
        self._out.close()
        self._err.close()

    async def _ended(self) -> bool:
        until = self._loop.time() + END_S
        while self._process.poll() is None:
            if self._loop.time() > until:
                return False
            # Its remaining output would otherwise block it.
            with suppress(BlockingIOError):
                os.read(self._out.fileno(), READ_BYTES)
            await asyncio.sleep(_POLL_S)
        return True

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _listen(self) -> None:
        """Reads standard error, so that a server with much output is not blocked; keeps only the end."""
        if self._err.closed:
            return
        with suppress(BlockingIOError):
            said = os.read(self._err.fileno(), READ_BYTES)
            self._said = (self._said + said)[-_STDERR_BYTES:]
            if not said:
                self._loop.remove_reader(self._err.fileno())

    async def _ready(
        self, add: Callable[..., None], remove: Callable[[int], object], descriptor: int
    ) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        add(descriptor, _settle, ready)
        try:
            await ready
        finally:
            remove(descriptor)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
