"""One worker process, from the server's side."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock

import msgspec
from msgspec import Struct

from stack.workers import framing
from stack.workers.descriptor import Descriptor
from stack.workers.framing import Frame, Incoming
from stack.workers.limits import Limits

PIPE_BYTES = 2**20
_EMPTY_PIPE_BYTES = 2**15
"""On every system this many bytes can be written to an empty pipe without blocking."""
_PIECE_BYTES = 2**16
"""Reading with a buffer of a megabyte takes ten times as long, even if there is little data."""
_STDERR_BYTES = 16 * 1024
_EXIT_POLL_S = 0.005


class Spec(Struct, frozen=True, kw_only=True):
    """How a worker is started. `module` has the function `answer` (see `child`). Its environment is
    `variables` only, because the server's may contain keys; it inherits the `descriptors` under their
    numbers."""

    module: str
    limits: Limits
    variables: Mapping[str, str] = {}
    descriptors: tuple[Descriptor, ...] = ()


class Worker:
    """Create it, and call its blocking methods, in a thread that lives as long as the worker: Linux ends a
    worker with the thread that started it. Raises OSError if it cannot be started."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.answers = 0
        environment = {
            # The worker imports its modules from the server's path, and never from the working directory.
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if Path(path).is_absolute()),
            "LANG": "C.UTF-8",
            **{name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ},
        }
        limits = msgspec.json.encode(spec.limits).decode()
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", "stack.workers.child", spec.module, limits, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**environment, **spec.variables},
            pass_fds=[one.number for one in spec.descriptors],
            # Ctrl-C in a terminal is for the server, which ends its workers itself.
            start_new_session=True,
        )
        self._ending = Lock()
        self._outcome: tuple[int, str] | None = None
        self._said = b""
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self._in, self._out, self._err = self.process.stdin, self.process.stdout, self.process.stderr
        os.set_blocking(self._err.fileno(), False)
        for pipe in (self._in, self._out):
            with suppress(OSError, AttributeError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._incoming = Incoming()
        self._at_end = False
        # Set while the pipe is watched.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: asyncio.Future[None] | None = None

    async def send(self, task: bytes) -> None:
        """Sends a task to a waiting worker. If it has ended, the next frame reports this."""
        if len(task) < _EMPTY_PIPE_BYTES:
            self._send(task)
        else:
            await asyncio.to_thread(self._send, task)

    async def frame(self) -> Frame | None:
        """Returns the next frame of the answer, or None if the worker has ended. One caller at a time. If the
        caller is cancelled, received data is kept."""
        while (found := self._incoming.next()) is None and not self._at_end:
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
                self._loop.add_reader(self._out.fileno(), self._arrived)
            self._waiting = self._loop.create_future()
            await self._waiting
        return self._counted(found)

    def unwatch(self) -> None:
        """Called in the event loop before `end`: stops reading. A caller that waits for a frame receives
        None."""
        self._at_end = True
        self._pause()
        self._wake()

    def reply(self, task: bytes) -> Frame | None:
        """Sends a task and returns the first frame of its answer, or None if the worker has ended. Blocks. Raises
        TimeoutError."""
        self._send(task)
        wait_s = self.spec.limits.wait_s
        until = time.monotonic() + wait_s
        answers = select.poll()
        answers.register(self._out, select.POLLIN)
        while (found := self._incoming.next()) is None:
            if not answers.poll(max(0.0, until - time.monotonic()) * 1000):
                raise TimeoutError(f"no answer within {wait_s:g} s")
            if not self._receive():
                return None
        return self._counted(found)

    def kill(self) -> None:
        """Kills it and the processes that it started, which are its group."""
        # Until it is waited for, no other process has its number.
        if self.process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def end(self, *, wait_s: float = 0.0) -> tuple[int, str]:
        """Returns its exit code (negative for a signal) and the end of its standard error. It may take
        `wait_s` to end by itself. Can be called again."""
        with self._ending:
            if self._outcome is None:
                self._outcome = self._ended(wait_s)
            return self._outcome

    def _ended(self, wait_s: float) -> tuple[int, str]:
        until = time.monotonic() + wait_s
        while not self.has_exited() and time.monotonic() < until:
            time.sleep(_EXIT_POLL_S)
        self.kill()
        code = self.process.wait()
        self._listen()
        with suppress(BrokenPipeError):
            self._in.close()
        self._out.close()
        self._err.close()
        return code, self._said.decode("utf-8", "replace").strip()

    def has_exited(self) -> bool:
        """Returns whether the process has ended, by itself or by `end`."""
        if self.process.returncode is not None:
            return True
        if not hasattr(os, "waitid"):
            return self.process.poll() is not None
        try:
            # Without taking its number from it.
            return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
        except ChildProcessError:
            # `end` waits for it in another thread.
            return True

    def _send(self, task: bytes) -> None:
        with suppress(BrokenPipeError):
            framing.write(self._in.fileno(), framing.TASK, task)

    def _counted(self, frame: Frame | None) -> Frame | None:
        self.answers += frame is not None and frame.kind == framing.DONE
        return frame

    def _receive(self) -> bool:
        """Reads from a pipe that is ready. Returns False at its end."""
        piece = os.read(self._out.fileno(), _PIECE_BYTES)
        self._incoming.feed(piece)
        self._listen()
        return bool(piece)

    def _listen(self) -> None:
        """Reads standard error, so that a worker with much output is not blocked."""
        with suppress(BlockingIOError):
            said = os.read(self._err.fileno(), _PIECE_BYTES)
            self._said = (self._said + said)[-_STDERR_BYTES:]

    def _arrived(self) -> None:
        wanted = self._waiting is not None and not self._waiting.done()
        if not self._receive():
            self.unwatch()
        elif not wanted:
            # The rest stays in the pipe, and blocks the worker, until the next frame is requested.
            self._pause()
        self._wake()

    def _pause(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._out.fileno())
            self._loop = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
