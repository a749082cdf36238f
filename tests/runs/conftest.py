"""A kernel of runs over a log of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stack.event_log import open_store
from tests.runs.kernel import Kernel


@pytest.fixture
async def kernel(tmp_path: Path) -> AsyncIterator[Kernel]:
    store = open_store(tmp_path / "log")
    kernel = Kernel(store)
    try:
        yield kernel
        await kernel.supervisor.stop()
    finally:
        store.close()
