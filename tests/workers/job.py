"""The worker processes of the tests."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

from stack.workers.framing import OWN
from stack.workers.limits import grant_cpu


def answer(task: bytes) -> bytes | Iterator[tuple[int, int, bytes]]:
    name, _, text = task.decode().partition(" ")
    match name:
        case "echo":
            print("not for the pipe of the answers")
            return text.encode()
        case "pid":
            return str(os.getpid()).encode()
        case "large":
            return b"x" * int(text)
        case "read":
            return os.pread(int(text), 100, 0)
        case "many":
            return ((OWN, number, b"x" * 100_000) for number in range(int(text)))
        case "complain":
            sys.stderr.write("y" * int(text))
            return b"done"
        case "sleep":
            time.sleep(float(text))
            return b"awake"
        case "compute":
            grant_cpu(int(text))
            while True:
                pass
        case "fill":
            return bytes(2**40)
        case "exit":
            sys.stderr.write("for a reason\n")
            os._exit(int(text))
    raise ValueError(f"no such task: {name}")
