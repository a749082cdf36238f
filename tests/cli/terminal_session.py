"""A command in a terminal of its own, as a person uses it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import pyte

from tests.cli.folders import clean_environment

TIMEOUT_S = 60.0
CTRL_C, CTRL_D, CTRL_L, UP = "\x03", "\x04", "\x0c", "\x1b[A"


class TerminalSession:
    """Sends keys, and waits for text on the screen."""

    def __init__(self, *arguments: str | Path, size: tuple[int, int] = (40, 120), **environ: str) -> None:
        own, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self._own = own
        self._screen = pyte.Screen(size[1], size[0])
        self._stream = pyte.ByteStream(self._screen)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "stack.cli", *map(str, arguments)],
            env=clean_environment({"TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1", **environ}),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            # The terminal becomes the one that controls it: ctrl-c is a signal.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0) and None,
        )
        os.close(terminal)

    def __enter__(self) -> TerminalSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._own)

    def send(self, keys: str) -> None:
        os.write(self._own, keys.encode())

    @property
    def text(self) -> str:
        """Returns the content of the screen."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    def line(self, text: str) -> None:
        """Types a line on an empty screen."""
        self._screen.reset()
        self.send(f"{CTRL_L}{text}\r")

    def waits_for(self, text: str) -> None:
        """Fails if the text is not on the screen in time."""
        self._wait(lambda: text in self.text, text)

    def answers(self, key: str, text: str) -> bool:
        """Presses a key once. Returns whether the text is on the screen within some seconds."""
        self.send(key)
        answered_by = time.monotonic() + 5.0
        while text not in self.text and time.monotonic() < answered_by:
            self._read()
        return text in self.text

    def is_at(self, prompt: str) -> bool:
        return bool(self._screen.display[self._screen.cursor.y].strip() == prompt.strip())

    def waits_for_prompt(self, prompt: str) -> None:
        """Fails if there is no empty prompt in time."""
        self._wait(lambda: self.is_at(prompt), prompt)

    def _wait(self, shown: Callable[[], bool], text: str) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not shown():
            assert time.monotonic() < deadline and self._read(), f"no {text!r} in:\n{self.text}"

    def ends(self) -> int:
        """Returns the exit code."""
        deadline = time.monotonic() + TIMEOUT_S
        while self._read():
            assert time.monotonic() < deadline
        return self.process.wait(TIMEOUT_S)

    def _read(self) -> bool:
        """Returns False at the end."""
        if not select.select([self._own], [], [], 1.0)[0]:
            return True
        piece = b""
        with contextlib.suppress(OSError):  # the other side is closed
            piece = os.read(self._own, 65_536)
        self._stream.feed(piece)
        return bool(piece)
