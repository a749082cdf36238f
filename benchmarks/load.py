"""Concurrent clients: one thread and one connection each, which is cheapest with blocking sockets."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from benchmarks.client import Connection

T = TypeVar("T")

Work = Callable[[Connection, int], T]
"""The work of one client, given its connection and its number from 0."""


def concurrently(port: int, clients: int, work: Work[T]) -> tuple[list[T], float]:
    """Returns the results of all clients, and the total time in seconds. Raises the errors of clients."""
    connections = [Connection(port) for _ in range(clients)]
    try:
        with ThreadPoolExecutor(clients) as threads:
            began = time.perf_counter()
            results = list(threads.map(work, connections, range(clients)))
            return results, time.perf_counter() - began
    finally:
        for connection in connections:
            connection.__exit__(None, None, None)
