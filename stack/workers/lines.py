"""A process of any program that reports in lines, on a descriptor of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from stack.workers.child_process import PIECE_BYTES, ChildProcess


class LineTooLong(ConnectionError):
    """A line is longer than allowed."""


class LineProcess(ChildProcess):
    """`command` is given the number of the descriptor to which the process writes its lines. Its standard
    input is empty, and its standard output is lost."""

    def __init__(
        self, command: Callable[[int], Sequence[str]], environment: Mapping[str, str], max_line_bytes: int
    ) -> None:
        self._max_line_bytes = max_line_bytes
        self._lines, target = os.pipe2(os.O_CLOEXEC)
        try:
            super().__init__(
                command(target),
                environment,
                [target],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        except BaseException:
            os.close(self._lines)
            raise
        finally:
            os.close(target)
        os.set_blocking(self._lines, False)
        self._rest = b""
        self._at_end = False
        self._changed: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def read(self, timeout_s: float) -> list[bytes] | None:
        """Returns the next lines, without their ends; an empty list if the time is up, None once all are read
        and the process has closed its descriptor. One caller at a time. If the caller is cancelled, nothing
        is lost. Raises LineTooLong."""
        lines = self._available()
        if lines or self._at_end:
            return lines or None
        loop = self._loop = asyncio.get_running_loop()
        self._changed = loop.create_future()
        loop.add_reader(self._lines, self._wake)
        loop.add_reader(self._err.fileno(), self._listened)
        timer = loop.call_later(timeout_s, self._wake)
        try:
            await self._changed
        finally:
            timer.cancel()
            self._pause()
        return self._available() or (None if self._at_end else [])

    def unwatch(self) -> None:
        self._at_end = True
        self._pause()
        self._wake()

    def close(self) -> None:
        os.close(self._lines)

    def _available(self) -> list[bytes]:
        """Returns the whole lines in the pipe, up to a piece."""
        if not self._at_end:
            with suppress(BlockingIOError):
                piece = os.read(self._lines, PIECE_BYTES)
                self._at_end = not piece
                self._rest += piece
        *lines, self._rest = self._rest.split(b"\n")
        if len(self._rest) > self._max_line_bytes or any(len(line) > self._max_line_bytes for line in lines):
            raise LineTooLong(f"a line has more than {self._max_line_bytes} bytes")
        if self._at_end and self._rest:
            lines, self._rest = [*lines, self._rest], b""
        return lines

    def _listened(self) -> None:
        """Reads standard error. At its end it would be readable all the time."""
        if not self.listen() and self._loop is not None:
            self._loop.remove_reader(self._err.fileno())

    def _pause(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._lines)
            self._loop.remove_reader(self._err.fileno())
            self._loop = None

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)
