"""The main module of every worker process: `python -m stack.workers.child MODULE LIMITS SERVER`.

MODULE has a function `answer(task: bytes)`. It returns the reply as bytes, which are sent in a DONE frame, or
an iterator of (kind, number, payload), which are sent one by one and followed by DONE. The process ends after
a failed task, because its state may be inconsistent, and with its server (process id SERVER) by SIGTERM,
which a module handles if it has to clean up.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator

import msgspec

from stack.workers import framing, limits
from stack.workers.limits import Limits

Answer = Callable[[bytes], bytes | Iterator[tuple[int, int, bytes]]]


def main() -> None:
    module, bounds, server = sys.argv[1:]
    # Output of libraries must not be mixed with the frames.
    target = os.dup(1)
    os.dup2(2, 1)
    limits.apply(msgspec.json.decode(bounds, type=Limits), int(server))
    try:
        answer: Answer = importlib.import_module(module).answer
        while task := framing.read(sys.stdin.buffer):
            if not _done(target, answer, task.payload):
                # Without waiting for threads that a module has started.
                os._exit(1)
    except BrokenPipeError:
        pass
    # The server has ended, or no longer needs the answer.
    signal.raise_signal(signal.SIGTERM)


def _done(target: int, answer: Answer, task: bytes) -> bool:
    """Sends the answer to one task. Returns whether this process can accept another one."""
    try:
        found = answer(task)
        if isinstance(found, bytes):
            framing.write(target, framing.DONE, found)
        else:
            for kind, number, payload in found:
                framing.write(target, kind, payload, number)
            framing.write(target, framing.DONE)
    except BrokenPipeError:
        raise
    except MemoryError:
        framing.write(target, framing.EXHAUSTED)
    except Exception:
        framing.write(target, framing.FAULT, traceback.format_exc().encode())
    else:
        return True
    return False


if __name__ == "__main__":
    main()
