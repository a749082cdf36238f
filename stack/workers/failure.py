"""Why a worker did not answer."""

from __future__ import annotations

from stack.workers import framing
from stack.workers.framing import Frame
from stack.workers.process import Worker


class NoAnswer(ConnectionError):
    """The worker ended before its answer was complete, with `code` (negative for a signal). `is_new` is true
    if it had not answered another task: a kept worker may have ended while it was idle."""

    def __init__(self, problem: str, code: int | None = None, *, is_new: bool = True) -> None:
        super().__init__(problem)
        self.code = code
        self.is_new = is_new


class Exhausted(NoAnswer):
    """The task needs more memory than its worker may use."""


class Closed(NoAnswer):
    """The pool or starter of the worker is closed."""


def failure(worker: Worker, frame: Frame | None) -> NoAnswer:
    """Returns the error. `frame` is the last that a worker sent, None if it ended without one. Waits for its
    end."""
    code, said = worker.end(wait_s=_EXIT_S)
    module = worker.spec.module
    if frame is None:
        return NoAnswer(f"{module} ended with {code}: {said}", code, is_new=not worker.answers)
    if frame.kind == framing.EXHAUSTED:
        return Exhausted(f"{module} needs more than {worker.spec.limits.memory_bytes} bytes of memory", code)
    return NoAnswer(f"{module} failed:\n{frame.payload.decode('utf-8', 'replace')}", code)


_EXIT_S = 1.0
"""How long a worker whose pipe is closed may take to exit, in seconds, so that its own exit code can be
reported."""
