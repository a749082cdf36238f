"""One worker process, from the server's side."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from stack.workers import framing
from stack.workers.child_process import PIECE_BYTES, ChildProcess
from stack.workers.descriptor import Descriptor
from stack.workers.framing import Frame, Incoming
from stack.workers.limits import Limits

PIPE_BYTES = 2**20
_EMPTY_PIPE_BYTES = 2**15
"""On every system this many bytes can be written to an empty pipe without blocking."""


class Spec(Struct, frozen=True, kw_only=True):
    """How a worker is started. `module` has the function `answer` (see `child`). Its environment is
    `variables` only, because the server's may contain keys; it inherits the `descriptors` under their
    numbers."""

    module: str
    limits: Limits
    variables: Mapping[str, str] = {}
    descriptors: tuple[Descriptor, ...] = ()


class Worker(ChildProcess):
    """A worker of this project in the server's own interpreter, that answers tasks in frames."""

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
        super().__init__(
            [sys.executable, "-P", "-m", "stack.workers.child", spec.module, limits, str(os.getpid())],
            {**environment, **spec.variables},
            [one.number for one in spec.descriptors],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdin and self.process.stdout
        self._in, self._out = self.process.stdin, self.process.stdout
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

    def close(self) -> None:
        with suppress(BrokenPipeError):
            self._in.close()
        self._out.close()

    def _send(self, task: bytes) -> None:
        with suppress(BrokenPipeError):
            framing.write(self._in.fileno(), framing.TASK, task)

    def _counted(self, frame: Frame | None) -> Frame | None:
        self.answers += frame is not None and frame.kind == framing.DONE
        return frame

    def _receive(self) -> bool:
        """Reads from a pipe that is ready. Returns False at its end."""
        piece = os.read(self._out.fileno(), PIECE_BYTES)
        self._incoming.feed(piece)
        self.listen()
        return bool(piece)

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
