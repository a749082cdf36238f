"""Executes code with a Python of its own in a sandbox, in a worker process (see `stack.workers.child`).

The sandbox ends with this process, and this process with the server.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import selectors
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from stack.providers.tools.code import bubblewrap, seccomp
from stack.providers.tools.code.task import Reply, Task
from stack.providers.tools.code.values import cut
from stack.workers.descriptor import Descriptor, of_bytes

WALL_FACTOR = 1.5
"""How much longer the code may take than its computing time, because it waits or because the machine is busy."""
FILE_BYTES = 16 * 2**20
OPEN_FILES = 64
MAX_IMAGES = 4
IMAGE_BYTES = 2**20
PNG = b"\x89PNG\r\n\x1a\n"

_RUNNER = Path(__file__).with_name("sandbox_runner.py").read_text()
_PIECE_BYTES = 2**16

_task_of = msgspec.msgpack.Decoder(Task).decode
_encode = msgspec.msgpack.Encoder().encode


def answer(task: bytes) -> bytes:
    """Returns the reply to a task; both are encoded."""
    return _encode(execute(_task_of(task)))


def execute(task: Task) -> Reply:
    """Executes code in a new sandbox. If there can be no sandbox, the reply says why, with the remedy."""
    try:
        return _Execution(task).reply()
    except bubblewrap.SandboxUnavailable as why:
        return Reply(text=why.reason, is_error=True, remedy=why.remedy)


class _Execution:
    def __init__(self, task: Task) -> None:
        self._limits = task.limits
        self._wall_s = task.limits.time_s * WALL_FACTOR
        self._output = bytearray()
        self._setup = bytearray()
        self._report = bytearray()
        self._problem = ""
        filter_program = seccomp.program(platform.machine())
        if filter_program is None:
            raise bubblewrap.SandboxUnavailable(
                f"The sandbox is not available on {platform.machine()}.", "Use the engine `monty`."
            )
        self._code, self._filter = _file(task.code.encode()), _file(filter_program)
        self._read, self._write = map(Descriptor, os.pipe())
        limits = {
            "memory_bytes": task.limits.memory_bytes,
            "cpu_s": max(1, round(task.limits.time_s)),
            "file_bytes": FILE_BYTES,
            "open_files": OPEN_FILES,
            "images": MAX_IMAGES,
            "report": self._write.number,
        }
        self._command = bubblewrap.command(
            task.python, ["-c", _RUNNER, json.dumps(limits)], self._filter.number
        )

    def reply(self) -> Reply:
        process = subprocess.Popen(  # noqa: S603
            self._command,
            stdin=self._code.number,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=(self._filter.number, self._write.number),
        )
        del self._write
        assert process.stdout and process.stderr
        try:
            self._read_all(process.stdout.fileno(), process.stderr.fileno())
            # Its outputs are closed: all processes of the sandbox have ended, or it is ended now.
            status = process.wait(max(self._until_s - time.monotonic(), 0.1)) if not self._problem else 0
        except subprocess.TimeoutExpired:
            self._problem = self._too_long()
            status = 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
        return self._outcome(status)

    def _read_all(self, output: int, setup: int) -> None:
        """Reads until the sandbox has ended, or exceeds a limit."""
        self._until_s = time.monotonic() + self._wall_s
        targets = {output: self._output, setup: self._setup, self._read.number: self._report}
        # A character may have four bytes.
        most = {output: 4 * self._limits.output_chars, setup: _PIECE_BYTES}
        most[self._read.number] = 1 + MAX_IMAGES * (IMAGE_BYTES + 4)
        with selectors.DefaultSelector() as ready:
            for one in targets:
                ready.register(one, selectors.EVENT_READ)
            while ready.get_map():
                found = ready.select(max(self._until_s - time.monotonic(), 0))
                if not found:
                    self._problem = self._too_long()
                    return
                for key, _ in found:
                    piece = os.read(key.fd, _PIECE_BYTES)
                    if not piece:
                        ready.unregister(key.fd)
                        continue
                    target = targets[key.fd]
                    target += piece
                    if len(target) > most[key.fd]:
                        self._problem = self._too_much(key.fd == output)
                        return

    def _outcome(self, status: int) -> Reply:
        said = self._setup.decode("utf-8", "replace").strip()
        if not self._report and not self._problem:
            reason = f"The sandbox could not be started: {cut(said or f'status {status}', 500)}."
            raise bubblewrap.SandboxUnavailable(reason, bubblewrap.REMEDY)
        text = self._output.decode("utf-8", "replace")
        limit = self._limits.output_chars
        if len(text) > limit:
            self._problem = self._problem or self._too_much(True)
        problem = self._problem or self._signalled(status)
        if not problem and text.rstrip().rpartition("\n")[2].startswith("MemoryError"):
            problem = f"The limit on memory is {self._limits.memory_bytes >> 20} MiB."
        parts = [part for part in (text[:limit].removesuffix("\n"), problem) if part]
        images = list(self._images()) if status == 0 and not problem else []
        return Reply(text="\n".join(parts), is_error=bool(problem) or status != 0, images=images)

    def _images(self) -> Iterator[str]:
        """Yields the figures that the code reported, as base64: what is not a PNG of an allowed size is left out."""
        at = 1
        for _ in range(MAX_IMAGES):
            if at + 4 > len(self._report):
                return
            (length,) = struct.unpack_from("<I", self._report, at)
            image = bytes(self._report[at + 4 : at + 4 + length])
            at += 4 + length
            if len(image) == length <= IMAGE_BYTES and image.startswith(PNG):
                yield base64.b64encode(image).decode()

    def _signalled(self, status: int) -> str:
        number = status - 128
        if number == signal.SIGXCPU:
            return f"Error: the code takes more than {self._limits.time_s:g} s of computing time, which is the limit."
        if number == signal.SIGKILL:
            return (
                f"Error: the code was ended, because it takes more than {self._limits.time_s:g} s of computing time, or "
                "because the machine has no memory left."
            )
        if number > 0:
            return f"Error: the code ended Python with signal {number}."
        return ""

    def _too_long(self) -> str:
        return f"Error: the code takes more than {self._wall_s:g} s, which is the limit."

    def _too_much(self, is_output: bool) -> str:
        if is_output:
            return f"Error: the code prints more than {self._limits.output_chars:,} characters, which is the limit."
        return f"Error: the images have more than {MAX_IMAGES * IMAGE_BYTES:,} bytes, which is the limit."


def _file(content: bytes) -> Descriptor:
    made = of_bytes(content)
    os.lseek(made.number, 0, os.SEEK_SET)
    return made
