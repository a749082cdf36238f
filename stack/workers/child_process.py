"""A process that the server starts and ends: a session of its own, and the end of its standard error."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Lock

PIECE_BYTES = 2**16
"""Reading with a buffer of a megabyte takes ten times as long, even if there is little data."""
_STDERR_BYTES = 16 * 1024
_EXIT_POLL_S = 0.005


class ChildProcess(ABC):
    """Create it, and call its blocking methods, in a thread that lives as long as the process: Linux ends it
    with the thread that started it. Raises OSError if it cannot be started."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        descriptors: Sequence[int],
        *,
        stdin: int,
        stdout: int,
    ) -> None:
        """It inherits the `descriptors` under their numbers."""
        self.process = subprocess.Popen(  # noqa: S603
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=dict(environment),
            pass_fds=descriptors,
            # Ctrl-C in a terminal is for the server, which ends its workers itself.
            start_new_session=True,
        )
        self._ending = Lock()
        self._outcome: tuple[int, str] | None = None
        self._said = b""
        assert self.process.stderr
        self._err = self.process.stderr
        os.set_blocking(self._err.fileno(), False)

    @abstractmethod
    def unwatch(self) -> None:
        """Called in the event loop before `end`: stops reading."""

    @abstractmethod
    def close(self) -> None:
        """Closes the pipes, except that of standard error."""

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
        self.listen()
        self.close()
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

    def listen(self) -> bool:
        """Reads standard error, so that a process with much output is not blocked. Returns False at its
        end."""
        with suppress(BlockingIOError):
            said = os.read(self._err.fileno(), PIECE_BYTES)
            self._said = (self._said + said)[-_STDERR_BYTES:]
            return bool(said)
        return True
