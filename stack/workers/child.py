"""The main module of every worker process: `python -m stack.workers.child MODULE LIMITS SERVER`.

MODULE has a function `answer(task: bytes)`. It returns the reply as bytes, which go out in a DONE frame, or an iterator
of (kind, number, payload), which are sent as they come and followed by DONE. The process ends after a task that failed,
because it may have left the process in any state, and with its server (process id SERVER) by SIGTERM, which a module
handles if it has something to clear up.
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
    # Whatever a library prints must not come between the frames.
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
    # The server has ended, or does not want the answer any more.
    signal.raise_signal(signal.SIGTERM)


def _done(target: int, answer: Answer, task: bytes) -> bool:
    """Sends the answer to one task. Returns whether this process can take another."""
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
