"""The log under the contract suite, and folders for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from stack.event_log import open_store
from stack.eventstore import EventStore


class OpenLog(Protocol):
    def __call__(self, name: str = "log", *, clock_us: Callable[[], int] | None = None) -> EventStore:
        """Opens the log `name`; the same name again (after closing) opens the same log."""
        ...


@pytest.fixture
def open_log(tmp_path: Path) -> Iterator[OpenLog]:
    opened: list[EventStore] = []

    def open_(name: str = "log", *, clock_us: Callable[[], int] | None = None) -> EventStore:
        folder = tmp_path / name
        store = open_store(folder, clock_us=clock_us) if clock_us else open_store(folder)
        opened.append(store)
        return store

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
def log(open_log: OpenLog) -> EventStore:
    return open_log()
