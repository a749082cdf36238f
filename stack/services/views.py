"""Reads of the read models that include the caller's own writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, ParamSpec, TypeVar

from projections.warehouse.engine import Engine
from projections.warehouse.errors import ViewBehind
from projections.warehouse.reader import Reader
from stack.errors import Unavailable
from stack.eventstore import EventStore

P = ParamSpec("P")
T = TypeVar("T")

READERS = 4


class Views:
    """Runs query functions (`projections/<noun>.py`) in reader threads, each with its own DuckDB cursor."""

    def __init__(self, reader: Reader, engine: Engine, store: EventStore, timeout_s: float = 30.0) -> None:
        self._reader = reader
        self._engine = engine
        self._store = store
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="views")

    async def read(
        self,
        categories: tuple[str, ...],
        query: Callable[Concatenate[Reader, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Returns the result of `query`, including the last acknowledged event of these categories.

        Raises Unavailable if the view does not catch up in time, or is being rebuilt from the beginning.
        """
        position = max(self._store.category_head(category) for category in categories)
        try:
            await self._engine.reached(position, self._timeout_s)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, lambda: query(self._reader, *args, **kwargs))
        except ViewBehind as error:
            raise Unavailable(
                f"The read models are not available yet: {error} Try again.", retry_after=2
            ) from error

    def failed_streams(self) -> frozenset[str]:
        """Returns streams with events that are missing from the read models, because they are damaged."""
        return self._engine.failed_streams()

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
