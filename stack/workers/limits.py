"""Limits of a worker process. It sets all except the wait itself, so that they apply even after the server
has ended."""

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
    """`memory_bytes` limits the address space. `wait_s` is how long the server waits for the answer to a
    task; time in which its next frame is not requested does not count. `cpu_s` is the limit of the whole
    process; see `grant_cpu` for a limit on each task. `file_bytes` is the largest file that may be written;
    None means no limit."""

    memory_bytes: int
    wait_s: float
    cpu_s: int | None = None
    nice: int = 0
    file_bytes: int | None = None


def apply(limits: Limits, server: int) -> None:
    """Limits this process and ties it to the server with this process id."""
    end_with(server, signal.SIGTERM)
    if limits.nice:
        os.nice(limits.nice)
    if limits.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    if limits.cpu_s is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + _HARD_CPU_S))
    with suppress(ValueError, OSError):
        # Not available on every system.
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))


def grant_cpu(cpu_s: int) -> None:
    """Gives the task that starts now `cpu_s` seconds of CPU time; after that SIGXCPU ends the process. A
    limit in wall time would fail tasks on a busy machine."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(usage.ru_utime + usage.ru_stime) + cpu_s + 1
    resource.setrlimit(
        resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard)
    )


def end_with(server: int, by: signal.Signals) -> None:
    """Ends this process with the server, by this signal, and before it when the machine runs out of memory.
    It leaves no core file. On systems other than Linux the worker ends at the end of its input, or when
    its CPU time is used up."""
    import ctypes

    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)
    if os.getppid() != server:
        # The server ended before it was monitored.
        os._exit(1)
