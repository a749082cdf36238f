"""Another client that sends small requests while something large is measured, to measure the effect on
others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.client import Connection

EVERY_S = 0.01


@contextmanager
def others(port: int) -> Iterator[list[float]]:
    """Measures the milliseconds of small requests that another client sends in the meantime."""
    took_ms: list[float] = []
    over = threading.Event()

    def ask() -> None:
        with Connection(port) as connection:
            while not over.wait(EVERY_S):
                took_ms.append(connection.get("/v1/health").took_ms)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield took_ms
    finally:
        over.set()
        thread.join()
