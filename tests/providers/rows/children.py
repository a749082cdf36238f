"""The processes that a test has started: other tests' servers run at the same time."""

from __future__ import annotations

import psutil

_others: set[psutil.Process] = set()


def begin() -> None:
    """Whatever runs now is not the test's."""
    _others.clear()
    _others.update(psutil.Process().children())


def children() -> list[psutil.Process]:
    """Returns the processes that this process has started since, including ended ones that were not
    reaped."""
    return [child for child in psutil.Process().children() if child not in _others]


def is_at_work(process: psutil.Process) -> bool:
    """Whether it has not ended; who reaps it, and when, is up to the system."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
