"""Limits of a worker process. It sets all but the wait for itself, so that they hold when the server has ended."""

from __future__ import annotations

import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

_PR_SET_PDEATHSIG = 1
_HARD_CPU_S = 5
"""Seconds between SIGXCPU, which a library might handle, and SIGKILL."""


class Limits(Struct, frozen=True, kw_only=True):
    """`memory_bytes` is of address space. `wait_s` is how long the server waits for the answer to a task; the time in
    which no one asks for its next frame does not count. `cpu_s` is of the whole process; see `grant_cpu` for a limit
    on each task. `file_bytes` is the largest file that may be written; None means no limit."""

    memory_bytes: int
    wait_s: float
    cpu_s: int | None = None
    nice: int = 0
    file_bytes: int | None = None


def apply(limits: Limits, server: int) -> None:
    """Bounds this process and ties it to the server, whose process id it is given."""
    _end_with(server)
    if limits.nice:
        os.nice(limits.nice)
    with suppress(OSError):
        # When the machine runs out of memory, the kernel should end this process and not the server.
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limits.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    if limits.cpu_s is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + _HARD_CPU_S))
    with suppress(ValueError, OSError):
        # Not every system has it.
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))


def grant_cpu(cpu_s: int) -> None:
    """Gives the task that begins now `cpu_s` seconds of computing; after that SIGXCPU ends the process. A limit in
    wall time would fail tasks on a busy machine."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(usage.ru_utime + usage.ru_stime) + cpu_s + 1
    resource.setrlimit(
        resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard)
    )


def _end_with(server: int) -> None:
    """Elsewhere than on Linux the worker ends at the end of its input, or when its computing time is spent."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != server:
        # It ended before it was watched.
        os._exit(1)
