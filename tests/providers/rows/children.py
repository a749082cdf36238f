"""The processes that a test has started: other tests' servers run at the same time."""

from __future__ import annotations

import psutil

_others: set[psutil.Process] = set()


def begin() -> None:
    """Whatever runs now is not the test's."""
    _others.clear()
    _others.update(psutil.Process().children())


def children() -> list[psutil.Process]:
    """What this process has started since, and what has ended and was not reaped."""
    return [child for child in psutil.Process().children() if child not in _others]
